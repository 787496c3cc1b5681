#include "client/cli/safetensors_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/client/canned_answers.h"

namespace lifescope {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::Tensor Int64Scalar(int64_t value) {
  v1::Tensor tensor;
  tensor.set_data_type(v1::DATA_TYPE_INT64);
  tensor.set_data(std::string(reinterpret_cast<const char*>(&value), sizeof(value)));
  return tensor;
}

TEST(SafetensorsBytesTest, AFileIsLengthThenPaddedHeaderThenDataWithoutGaps) {
  const auto bytes = SafetensorsBytes(
      {{"a", FloatTensor({1, 2}, {1.F, -2.F})}, {"b", Int64Scalar(7)}, {"c", FloatTensor({0}, {})}}, {{"run_id", "x"}});
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  // Eight-byte elements come first, so that every tensor is aligned.
  const std::string header = R"({"__metadata__":{"run_id":"x"},"b":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                             R"("a":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},)"
                             R"("c":{"dtype":"F32","shape":[0],"data_offsets":[16,16]}})";
  const size_t padded = (header.size() + 7) / 8 * 8;
  ASSERT_LT(padded, 256);
  std::string expected(1, static_cast<char>(padded));
  expected += std::string(7, '\0') + header + std::string(padded - header.size(), ' ');
  expected += std::string("\7\0\0\0\0\0\0\0", 8);
  expected += std::string("\0\0\x80\x3F\0\0\0\xC0", 8);
  EXPECT_EQ(*bytes, expected);
}

TEST(SafetensorsBytesTest, NothingIsAnEmptyHeader) {
  EXPECT_EQ(*SafetensorsBytes({}, {}), std::string("\x8\0\0\0\0\0\0\0{}      ", 16));
}

TEST(SafetensorsBytesTest, ATensorThatContradictsItselfIsNamed) {
  const auto bytes = SafetensorsBytes({{"clean/0/kl", FloatTensor({3}, {1.F})}}, {});
  EXPECT_TRUE(absl::IsDataLoss(bytes.status()));
  EXPECT_THAT(std::string(bytes.status().message()), HasSubstr("clean/0/kl"));
}

TEST(NamedTensorsTest, EveryReadOfEveryRunHasItsOwnName) {
  v1::Run run;
  run.add_reads()->set_name("kl");
  run.add_reads();
  run.add_reads()->set_name("kl");
  run.add_interventions()->set_name("clean");
  v1::RunResult result;
  v1::DocumentResult* clean = result.add_clean();
  for (int read = 0; read < 3; ++read) {
    clean->add_values()->set_read(read);
    *clean->mutable_values(read)->mutable_tensor() = FloatTensor({1}, {1.F});
  }
  v1::DocumentResult* edited = result.add_interventions()->add_documents();
  edited->set_document(4);
  *edited->add_values()->mutable_features() = FakeFeatures({{{3, 1.F}}});
  std::vector<std::string> names;
  for (const auto& [name, tensor] : NamedTensors(run, result)) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("clean.0/4/kl/features", "clean.0/4/kl/positions", "clean.0/4/kl/row_offsets",
                                 "clean.0/4/kl/values", "clean/0/kl", "clean/0/kl.2", "clean/0/read1"));
}

TEST(WriteFileTest, AFileIsReplacedAsAWhole) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "lifescope_write_file";
  std::filesystem::create_directories(folder);
  const std::string path = folder / "out.safetensors";
  ASSERT_TRUE(WriteFile(path, "long old text").ok());
  ASSERT_TRUE(WriteFile(path, "new").ok());
  std::ifstream file(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "new");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  std::filesystem::remove_all(folder);
}

TEST(WriteFileTest, APathThatCannotBeWrittenIsNamed) {
  const absl::Status status = WriteFile("/nonexistent/out.safetensors", "x");
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nonexistent/out.safetensors"));
}

}  // namespace
}  // namespace lifescope
