#include "server/artifact/torch_file.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/artifact/torch_writer.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kState[] = "life2vec/variant_a/transformer.pth";

std::string Written(const std::string& bytes) {
  const std::string path = TemporaryFolder() + "/file.pt";
  WriteFileAtomically(path, bytes);
  return path;
}

// Reads every tensor of what was saved.
std::map<std::string, at::Tensor> ReadAll(const std::string& path) {
  const TorchFile file = TorchFile::Open(path);
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, layout] : file.Tensors(file.root())) tensors[name] = file.Read(layout);
  return tensors;
}

std::string ReadingError(const std::string& bytes) {
  try {
    ReadAll(Written(bytes));
  } catch (const c10::ValueError& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

// Bytes 0, 1, 2...
std::string Counting(size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(i);
  return bytes;
}

std::string ArchiveOf(const PickledTensor& tensor, const std::string& storage, const ZipRecords& more = {}) {
  ZipRecords records = {{"a/data.pkl", PickleOf(PickleDict({{"x", PickleTensor(tensor)}}))}, {"a/data/0", storage}};
  records.insert(records.end(), more.begin(), more.end());
  return ZipOf(records);
}

TEST(TorchFile, AStateDictEqualsItsSafetensors) {
  const std::map<std::string, at::Tensor> tensors = ReadAll(GoldenPath(kState));
  const SafetensorsFile expected = SafetensorsFile::Open(GoldenPath("life2vec/variant_a/model.safetensors"));
  EXPECT_EQ(tensors.size(), 40u);
  for (const auto& [name, tensor] : tensors) {
    EXPECT_TRUE(at::equal(tensor, expected.Read("transformer." + name))) << name;
  }
}

TEST(TorchFile, OtherPeoplesFilesAreReadToo) {
  if (!HasGolden("sae/files/dictionary_learning/topk/ae.pt")) GTEST_SKIP() << "in the whole golden set alone";
  const auto tensors = ReadAll(GoldenPath("sae/files/dictionary_learning/topk/ae.pt"));
  EXPECT_EQ(tensors.at("decoder.weight").numel(), 4096);
  EXPECT_EQ(tensors.at("k").numel(), 1);
}

TEST(TorchFile, EveryDtypeIsReadAsItIsStored) {
  const struct {
    const char* storage;
    at::ScalarType dtype;
  } cases[] = {{"DoubleStorage", at::kDouble},     {"FloatStorage", at::kFloat}, {"HalfStorage", at::kHalf},
               {"BFloat16Storage", at::kBFloat16}, {"LongStorage", at::kLong},   {"IntStorage", at::kInt},
               {"ShortStorage", at::kShort},       {"CharStorage", at::kChar},   {"ByteStorage", at::kByte},
               {"BoolStorage", at::kBool}};
  for (const auto& each : cases) {
    const at::Tensor expected = at::arange(6).remainder(2).to(each.dtype);
    const std::string bytes(static_cast<const char*>(expected.data_ptr()), expected.nbytes());
    const auto read = ReadAll(Written(ArchiveOf({each.storage, "0", 6, 0, {2, 3}, {3, 1}}, bytes))).at("x");
    EXPECT_EQ(read.scalar_type(), each.dtype);
    EXPECT_TRUE(at::equal(read, expected.reshape({2, 3}))) << each.storage;
  }
}

TEST(TorchFile, ViewsAreReadThroughTheirStrides) {
  const at::Tensor base = at::arange(24, at::kByte);
  const std::string bytes = Counting(24);
  const auto read = [&](int64_t offset, std::vector<int64_t> sizes, std::vector<int64_t> strides) {
    return ReadAll(Written(ArchiveOf({"ByteStorage", "0", 24, offset, std::move(sizes), std::move(strides)}, bytes)))
        .at("x");
  };
  EXPECT_TRUE(at::equal(read(0, {6, 4}, {1, 6}), base.reshape({4, 6}).t()));
  EXPECT_TRUE(at::equal(read(7, {2, 3}, {6, 1}), base.reshape({4, 6}).slice(0, 1, 3).slice(1, 1, 4)));
  EXPECT_TRUE(at::equal(read(1, {2, 3, 2}, {12, 2, 6}), base.reshape({2, 2, 3, 2}).permute({0, 2, 1, 3}).select(3, 1)));
  EXPECT_TRUE(at::equal(read(23, {}, {}), base[23]));
  EXPECT_TRUE(at::equal(read(5, {1, 2}, {int64_t{1} << 62, 1}), base.slice(0, 5, 7).unsqueeze(0)));
  EXPECT_EQ(read(0, {0, 4}, {4, 1}).sizes(), at::IntArrayRef({0, 4}));
}

TEST(TorchFile, AParameterIsItsTensor) {
  const std::string tensor = PickleTensor({"ByteStorage", "0", 2, 0, {2}, {1}});
  const std::string parameter =
      PickleCall(PickleGlobal("torch._utils", "_rebuild_parameter"), PickleTuple({tensor, "\x88", PickleDict({})}));
  const std::string bytes =
      ZipOf({{"a/data.pkl", PickleOf(PickleDict({{"p", parameter}}))}, {"a/data/0", Counting(2)}});
  EXPECT_TRUE(at::equal(ReadAll(Written(bytes)).at("p"), at::arange(2, at::kByte)));
}

TEST(TorchFile, ATensorThatItsRecordDoesNotHoldIsRefused) {
  constexpr int64_t kHuge = int64_t{1} << 62;
  const struct {
    PickledTensor tensor;
    const char* error;
  } cases[] = {{{"ByteStorage", "0", 24, 1, {4, 6}, {6, 1}}, "lies outside its storage of 24 elements"},
               {{"ByteStorage", "0", 24, kHuge, {1}, {1}}, "lies outside"},
               {{"ByteStorage", "0", 24, INT64_MAX, {2}, {1}}, "lies outside"},
               {{"ByteStorage", "0", 24, -1, {1}, {1}}, "lies outside"},
               {{"ByteStorage", "0", 24, 0, {-1}, {1}}, "expected at least 0"},
               {{"ByteStorage", "0", 24, 0, {2}, {-1}}, "expected at least 0"},
               {{"ByteStorage", "0", 24, 0, {2}, {kHuge}}, "lies outside"},
               {{"ByteStorage", "0", 24, 0, {kHuge, kHuge}, {1, kHuge}}, "does not fit 64 bits"},
               {{"ByteStorage", "0", 24, 0, {1000000, 24}, {0, 1}}, "no two elements meet"},
               {{"ByteStorage", "0", 24, 0, {3, 3}, {2, 1}}, "no two elements meet"},
               {{"ByteStorage", "0", 24, 0, {2, 3}, {1}}, "2 sizes and 1 strides"},
               {{"ByteStorage", "0", 24, 0, std::vector<int64_t>(65, 1), {1}}, "has 65 of them, expected 0 to 64"},
               {{"FloatStorage", "0", 24, 0, {2}, {1}}, "has 24 bytes, expected 24 elements of 4"},
               {{"ByteStorage", "0", -24, 0, {2}, {1}}, "has 24 bytes, expected -24 elements"},
               {{"ByteStorage", "9", 24, 0, {2}, {1}}, "record 'a/data/9' is missing"},
               {{"ComplexFloatStorage", "0", 3, 0, {2}, {1}}, "'torch.ComplexFloatStorage'"},
               {{"BoolStorage", "0", 24, 0, {24}, {1}}, "a bool other than 0 and 1"}};
  for (const auto& wrong : cases) {
    EXPECT_THAT(ReadingError(ArchiveOf(wrong.tensor, Counting(24))),
                AllOf(HasSubstr("file.pt: "), HasSubstr(wrong.error)));
  }
}

TEST(TorchFile, WhatIsNoStateDictIsNamed) {
  const auto error = [](const std::string& value) { return ReadingError(ZipOf({{"a/data.pkl", PickleOf(value)}})); };
  EXPECT_THAT(error(PickleInt(3)), HasSubstr("found 3 at byte 2, expected a state dict"));
  EXPECT_THAT(error(PickleDict({{"x", PickleInt(3)}})), AllOf(HasSubstr("tensor 'x'"), HasSubstr("expected a tensor")));
  EXPECT_THAT(error("}NNs"), HasSubstr("name of a tensor: found None"));
  const std::string call = PickleCall(PickleGlobal("torch._utils", "_rebuild_tensor_v2"), PickleTuple({}));
  EXPECT_THAT(error(PickleDict({{"x", call}})), HasSubstr("has 0 of them, expected 6 to 7"));
  const std::string tensor = PickleTensor({"ByteStorage", "0", 2, 0, {2}, {1}});
  const std::string twice = PickleOf(PickleDict({{"x", tensor}, {"x", tensor}}));
  EXPECT_THAT(ReadingError(ZipOf({{"a/data.pkl", twice}, {"a/data/0", Counting(2)}})), HasSubstr("'x' is there twice"));
}

TEST(TorchFile, OtherFormatsAreRefusedByName) {
  const PickledTensor tensor = {"ByteStorage", "0", 2, 0, {2}, {1}};
  const std::string legacy("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
  EXPECT_THAT(ReadingError(legacy), HasSubstr("the format of torch before 1.6"));
  EXPECT_THAT(ReadingError("GIF89a"), HasSubstr("begins with 'GIF8'"));
  EXPECT_THAT(ReadingError(ArchiveOf(tensor, Counting(2), {{"a/constants.pkl", "x"}})), HasSubstr("TorchScript"));
  EXPECT_THAT(ReadingError(ArchiveOf(tensor, Counting(2), {{"a/byteorder", "big"}})),
              AllOf(HasSubstr("'big'"), HasSubstr("expected 'little'")));
  EXPECT_EQ(ReadingError(ArchiveOf(tensor, Counting(2), {{"a/byteorder", "little"}})), "no error");
  EXPECT_THAT(ReadingError(ZipOf({{"a/version", "3"}})), HasSubstr("no record '.../data.pkl'"));
  EXPECT_THAT(ReadingError(ArchiveOf(tensor, Counting(2), {{"b/data.pkl", "N."}})), HasSubstr("expected one of them"));
}

TEST(TorchFile, ArchivesThatAreNotWhatTheySayAreRefused) {
  const PickledTensor tensor = {"ByteStorage", "0", 2, 0, {2}, {1}};
  const std::string good = ArchiveOf(tensor, Counting(2));
  EXPECT_EQ(ReadingError(good), "no error");
  for (size_t size = 0; size < good.size(); ++size) EXPECT_NE(ReadingError(good.substr(0, size)), "no error") << size;
  EXPECT_NE(ReadingError(ArchiveOf(tensor, Counting(2), {{"a/data/0", Counting(2)}})), "no error");
  const ZipRecords records = {{"a/data.pkl", PickleOf(PickleDict({}))}};
  std::string deflated = ZipOf(records);
  deflated[8] = deflated[deflated.find("PK\x01\x02") + 10] = 8;  // the method, in both headers
  EXPECT_THAT(ReadingError(deflated), HasSubstr("is compressed or encrypted"));
  std::string flipped = good;
  flipped[good.find("a/data/0") + 8] ^= 1;  // the first byte of the storage
  EXPECT_THAT(ReadingError(flipped), AllOf(HasSubstr("a/data/0"), HasSubstr("CRC")));
}

// The error of opening the archive.
std::string ZipError(const std::string& bytes, size_t max_records) {
  try {
    StoredZip(bytes, max_records);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

TEST(StoredZip, RecordsThatOverlapDoNotMultiplyTheFile) {
  // Record a holds record b, header and all, and the directory lists both: 2 KB in an archive of 1.2 KB.
  constexpr size_t kLocal = 31 + 1000, kEntry = 47, kEnd = 22;
  const std::string inner = ZipOf({{"b", std::string(1000, 'x')}});
  std::string entry = inner.substr(kLocal, kEntry);
  entry[42] = 31;  // where b lies
  std::string bomb = ZipOf({{"a", inner.substr(0, kLocal)}});
  bomb.insert(bomb.size() - kEnd, entry);
  bomb[bomb.size() - 14] = bomb[bomb.size() - 12] = 2;  // records
  bomb[bomb.size() - 10] = 2 * kEntry;                  // bytes of the directory
  EXPECT_THAT(ZipError(bomb, 10), HasSubstr("record 'b' has 1000 bytes"));
}

TEST(StoredZip, TheNumberOfRecordsIsLimited) {
  const std::string three = ZipOf({{"a", ""}, {"b", ""}, {"c", ""}});
  EXPECT_EQ(ZipError(three, 3), "no error");
  EXPECT_THAT(ZipError(three, 2), HasSubstr("3 records, the limit is 2"));
}

}  // namespace
}  // namespace lifescope
