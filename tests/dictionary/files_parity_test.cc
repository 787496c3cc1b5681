// What other programs wrote, against what they compute from it. SAELens has a test of its own (saelens_parity_test.cc).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/artifact/safetensors.h"
#include "server/dictionary/files/format.h"
#include "tests/dictionary/golden_file.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

struct Case {
  GoldenFile file;
  at::ScalarType dtype;
  std::string suffix() const { return dtype == at::kDouble ? ".f64" : ".f32"; }
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const GoldenFile& file : GoldenFiles()) {
    if (file.format == DictionaryFormat::kSaeLens) continue;
    for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) cases.push_back({file, dtype});
  }
  return cases;
}

class ForeignFile : public testing::TestWithParam<Case> {};

TEST_P(ForeignFile, EncodesAndDecodesAsItsProgram) {
  const auto& [file, dtype] = GetParam();
  EXPECT_EQ(DetectFormat(file.path()), file.format);
  const auto dictionary = MakeDictionary(file.Read().weights, dtype, at::kCPU);
  EXPECT_EQ(dictionary->feature_count(), 128);
  const SafetensorsFile golden = SafetensorsFile::Open(file.path() + "/golden.safetensors");
  const at::Tensor x = file.Rows().to(dtype), expected = golden.Read("f64/acts");
  const at::Tensor acts = dictionary->Encode(x);
  const double tolerance = dtype == at::kDouble ? 1e-9 : 5e-6;
  const std::string family = "sae." + file.folder;
  ExpectClose(acts, expected, tolerance, 0, family + ".acts" + GetParam().suffix());
  ExpectClose(dictionary->Decode(acts, x), golden.Read("f64/recon"), tolerance, 0,
              family + ".recon" + GetParam().suffix());
  EXPECT_TRUE(at::equal(acts > 0, expected > 0)) << "other features are active";
}

INSTANTIATE_TEST_SUITE_P(Golden, ForeignFile, testing::ValuesIn(Cases()),
                         [](const auto& info) { return TestName(info.param.file.folder + info.param.suffix()); });

// state_dict() of the original writes k and postact_fn twice, which the original itself refuses to load.
TEST(OpenAiFile, AStateDictIsReadAsTheFileIs) {
  const std::string folder = "sae/files/openai/topk/";
  if (!HasGolden(folder + "autoencoder_as_state_dict_writes.pt")) GTEST_SKIP() << "in the whole golden set alone";
  const auto read = [&](const char* name) {
    return ImportDictionary(GoldenPath(folder + name), DictionaryFormat::kOpenAi).weights;
  };
  const DictionaryWeights written = read("autoencoder_as_state_dict_writes.pt"), loadable = read("autoencoder.pt");
  EXPECT_EQ(written.k, loadable.k);
  for (const auto& [name, tensor] : loadable.tensors) EXPECT_TRUE(at::equal(written.tensors.at(name), tensor)) << name;
}

TEST(DictionaryLearningFile, KnowsItsModel) {
  for (const GoldenFile& file : GoldenFiles()) {
    if (file.format != DictionaryFormat::kDictionaryLearning) continue;
    EXPECT_EQ(file.Read().info.model, "example-model") << file.folder;
    EXPECT_EQ(file.Read().info.hook_point, "") << file.folder;
  }
}

}  // namespace
}  // namespace lifescope
