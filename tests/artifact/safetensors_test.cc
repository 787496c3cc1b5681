#include "server/artifact/safetensors.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "server/artifact/artifact.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kMalformed[] = "sae/files/malformed/";

// The message of the ValueError of opening the file and reading every tensor.
std::string ReadingError(const std::string& path) {
  try {
    const SafetensorsFile file = SafetensorsFile::Open(path);
    for (const std::string& name : file.names()) file.Read(name);
  } catch (const c10::ValueError& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

// A file of this header and this many data bytes.
std::string FileOf(const std::string& header, size_t data_bytes, char byte = 0) {
  const uint64_t length = header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), 8);
  const std::string path = TemporaryFolder() + "/file.safetensors";
  WriteFileAtomically(path, bytes + header + std::string(data_bytes, byte));
  return path;
}

std::map<std::string, at::Tensor> OneOfEachDtype() {
  std::map<std::string, at::Tensor> tensors;
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort,
                                    at::kChar, at::kByte, at::kBool}) {
    tensors[c10::toString(type)] = at::arange(6).reshape({2, 3}).remainder(2).to(type);
  }
  tensors["empty"] = at::empty({0, 4}, at::kFloat);
  tensors["scalar"] = at::tensor(7, at::kInt).reshape({});
  tensors["transposed"] = at::arange(6, at::kFloat).reshape({2, 3}).t();
  return tensors;
}

TEST(Safetensors, RoundTripKeepsDtypesShapesValuesAndMetadata) {
  const std::map<std::string, at::Tensor> tensors = OneOfEachDtype();
  const std::string path = TemporaryFolder() + "/all.safetensors";
  WriteSafetensors(path, tensors, {{"format", "pt"}, {"note", "line\n\"quoted\""}});
  const SafetensorsFile file = SafetensorsFile::Open(path);
  EXPECT_EQ(file.names().size(), tensors.size());
  EXPECT_EQ(file.metadata().at("note"), "line\n\"quoted\"");
  for (const auto& [name, expected] : tensors) {
    const at::Tensor read = file.Read(name);
    EXPECT_EQ(read.scalar_type(), expected.scalar_type()) << name;
    ASSERT_EQ(read.sizes(), expected.sizes()) << name;
    EXPECT_TRUE(at::equal(read, expected)) << name;
  }
}

TEST(Safetensors, OrderIsElementSizeThenNameAndHeaderIsAligned) {
  const std::string path = TemporaryFolder() + "/ordered.safetensors";
  WriteSafetensors(path, {{"a_byte", at::zeros({3}, at::kByte)},
                          {"b_float", at::zeros({1}, at::kFloat)},
                          {"a_float", at::zeros({1}, at::kFloat)},
                          {"z_long", at::zeros({1}, at::kLong)}});
  EXPECT_THAT(SafetensorsFile::Open(path).names(), testing::ElementsAre("z_long", "a_float", "b_float", "a_byte"));
  EXPECT_EQ(static_cast<uint8_t>(ReadFile(path)[0]) % 8, 0);
}

TEST(Safetensors, WritesTheBytesOfTheReferenceLibrary) {
  const std::string original = GoldenPath(std::string(kMalformed) + "good.safetensors");
  const SafetensorsFile file = SafetensorsFile::Open(original);
  std::map<std::string, at::Tensor> tensors;
  for (const std::string& name : file.names()) tensors[name] = file.Read(name);
  const std::string copy = TemporaryFolder() + "/copy.safetensors";
  WriteSafetensors(copy, tensors, file.metadata());
  EXPECT_EQ(Sha256OfFile(copy), Sha256OfFile(original));
}

TEST(Safetensors, AbsentTensorIsNamed) {
  const SafetensorsFile file = SafetensorsFile::Open(GoldenPath(std::string(kMalformed) + "good.safetensors"));
  EXPECT_FALSE(file.Contains("W_nothing"));
  try {
    file.Read("W_nothing");
    FAIL() << "no error";
  } catch (const c10::ValueError& error) {
    EXPECT_THAT(error.what_without_backtrace(), AllOf(HasSubstr("good.safetensors"), HasSubstr("'W_nothing'")));
  }
}

TEST(Safetensors, EveryMalformedFileIsRefusedWithItsFault) {
  const std::map<std::string, std::string> faults = {
      {"truncated_body", "truncated: the header describes"},
      {"truncated_header", "truncated: header length"},
      {"short", "truncated: "},
      {"header_length_huge", "header length is 4611686018427387904"},
      {"trailing_bytes", "8 trailing bytes"},
      {"overlap", "inside the tensor before it"},
      {"shape_bytes_mismatch", "which is 20 bytes, but data_offsets hold 16"},
      {"unknown_dtype", "unknown dtype \"F9\""},
      {"negative_offset", "-16"},
      {"shape_overflow", "overflows 64 bits"},
      {"not_json", "header is not JSON"}};
  const auto listed = nlohmann::json::parse(ReadFile(GoldenPath(std::string(kMalformed) + "malformed.json")))["files"];
  const std::vector<std::string> well_formed = {"good", "missing_b_dec", "transposed_w_dec", "nan_bias"};
  const std::string good = ReadFile(GoldenPath(std::string(kMalformed) + "good.safetensors"));
  for (const auto& [file, meaning] : listed.items()) {
    const std::string name = file.substr(0, file.find('.'));
    const std::string path = GoldenPath(kMalformed + file), error = ReadingError(path);
    // overlap.safetensors of the golden set is, byte for byte, the good file: OverlapsAreRefused tests that fault.
    if (testing::Value(well_formed, testing::Contains(name)) || (name == "overlap" && ReadFile(path) == good)) {
      EXPECT_EQ(error, "no error") << meaning;
    } else {
      ASSERT_EQ(faults.count(name), 1u) << name;
      EXPECT_THAT(error, AllOf(HasSubstr(file), HasSubstr(faults.at(name)))) << meaning;
    }
  }
}

TEST(Safetensors, OverlapsAreRefused) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                             R"("b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]},)"
                             R"("c":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}})";
  EXPECT_THAT(ReadingError(FileOf(header, 6)), AllOf(HasSubstr("'b'"), HasSubstr("inside the tensor before it")));
}

TEST(Safetensors, HolesAreRefused) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                             R"("b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}})";
  EXPECT_THAT(ReadingError(FileOf(header, 6)), AllOf(HasSubstr("'b'"), HasSubstr("hole")));
}

TEST(Safetensors, ANameGivenTwiceIsRefused) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                             R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";
  EXPECT_THAT(ReadingError(FileOf(header, 2)), AllOf(HasSubstr("\"a\""), HasSubstr("twice")));
}

TEST(Safetensors, HeadersOfTheWrongFormAreRefused) {
  EXPECT_THAT(ReadingError(FileOf("[]", 0)), HasSubstr("not a JSON object"));
  EXPECT_THAT(ReadingError(FileOf(" {}", 0)), HasSubstr("not a JSON object"));
  EXPECT_THAT(ReadingError(FileOf(R"({"a":1})", 0)), HasSubstr("expected dtype, shape and data_offsets"));
  EXPECT_THAT(ReadingError(FileOf(R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1)), HasSubstr("1.0"));
  EXPECT_THAT(ReadingError(FileOf(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1)), HasSubstr("[0]"));
  EXPECT_THAT(ReadingError(FileOf(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1)),
              HasSubstr("end before begin"));
  EXPECT_THAT(ReadingError(FileOf(R"({"__metadata__":{"a":1}})", 0)), HasSubstr("expected a string"));
  EXPECT_EQ(ReadingError(FileOf("{}", 0)), "no error");
}

TEST(Safetensors, ABoolThatIsNeitherZeroNorOneIsRefused) {
  const std::string header = R"({"flag":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})";
  EXPECT_THAT(ReadingError(FileOf(header, 1, 2)), HasSubstr("'flag' is BOOL"));
  EXPECT_EQ(ReadingError(FileOf(header, 1, 1)), "no error");
}

TEST(Safetensors, AnEmptyShapeWithHugeSizesIsRefused) {
  const std::string header = R"({"a":{"dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[0,0]}})";
  EXPECT_THAT(ReadingError(FileOf(header, 0)), HasSubstr("overflows 64 bits"));
}

}  // namespace
}  // namespace lifescope
