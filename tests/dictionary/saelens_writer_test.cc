// What WriteSaeLens writes is what SAELens writes, and comes back.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/dictionary/files/saelens.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::UnorderedElementsAre;

// A TopK dictionary of 20 features and width 6, in float32.
DictionaryWeights SmallWeights() {
  RandomTensors random(14);
  DictionaryWeights weights;
  weights.architecture = "topk";
  weights.tensors = {{"W_enc", random.Normal({6, 20}, at::kFloat)},
                     {"b_enc", random.Normal({20}, at::kFloat)},
                     {"W_dec", random.Directions(20, 6, at::kFloat)},
                     {"b_dec", random.Normal({6}, at::kFloat)}};
  weights.k = 3;
  return weights;
}

TEST(WriteSaeLens, ReadsBack) {
  const at::Tensor raw = RandomTensors(15).Normal({64, 6});
  const DictionaryWeights weights = SmallWeights();
  const std::string folder = TemporaryFolder() + "/sae/layer1/";
  WriteSaeLens(folder, weights, {"small-model", "blocks.1.hook_resid_post"});
  const LoadedDictionary loaded = LoadSaeLens(folder, at::kDouble, at::kCPU);
  EXPECT_EQ(loaded.dictionary->architecture(), "topk");
  EXPECT_EQ(loaded.info.model, "small-model");
  EXPECT_EQ(loaded.info.hook_point, "blocks.1.hook_resid_post");
  const auto expected = MakeDictionary(weights, at::kDouble, at::kCPU);
  const at::Tensor acts = expected->Encode(raw);
  EXPECT_TRUE(at::equal(loaded.dictionary->Encode(raw), acts));
  EXPECT_TRUE(at::equal(loaded.dictionary->Decode(acts, raw), expected->Decode(acts, raw)));
}

TEST(WriteSaeLens, GroupMaxReadsBack) {
  const at::Tensor raw = RandomTensors(16).Normal({64, 6});
  DictionaryWeights weights = SmallWeights();
  weights.architecture = "groupmax";
  weights.k = 5;
  const std::string folder = TemporaryFolder() + "/sae";
  WriteSaeLens(folder, weights, {"m", "blocks.0.hook_resid_post"});
  const LoadedDictionary loaded = LoadSaeLens(folder, at::kDouble, at::kCPU);
  EXPECT_EQ(loaded.dictionary->architecture(), "groupmax");
  const at::Tensor acts = loaded.dictionary->Encode(raw);
  EXPECT_TRUE(at::equal(acts, MakeDictionary(weights, at::kDouble, at::kCPU)->Encode(raw)));
  EXPECT_EQ((acts > 0).sum(1).max().item<int64_t>(), 5);
}

TEST(WriteSaeLens, WritesWhatSaeLensWrites) {
  const std::string golden = GoldenPath("sae/files/saelens6/topk");
  const std::string folder = TemporaryFolder() + "/sae";
  WriteSaeLens(folder, SmallWeights(), {"m", "blocks.0.hook_resid_post"});
  const auto written = nlohmann::json::parse(ReadFile(folder + "/cfg.json"));
  const auto reference = nlohmann::json::parse(ReadFile(golden + "/cfg.json"));
  for (const auto& item : reference.items()) {
    ASSERT_TRUE(written.contains(item.key())) << item.key();
    EXPECT_EQ(written[item.key()].type(), item.value().type()) << item.key();
  }
  EXPECT_EQ(written.size(), reference.size());
  for (const auto& item : written["metadata"].items()) EXPECT_TRUE(reference["metadata"].contains(item.key()));
  // Without it, SAELens reads the file as one of before version 6.
  EXPECT_EQ(written["metadata"]["sae_lens_version"], reference["metadata"]["sae_lens_version"]);
  const SafetensorsFile tensors = SafetensorsFile::Open(folder + "/sae_weights.safetensors");
  EXPECT_THAT(tensors.names(), UnorderedElementsAre("W_enc", "W_dec", "b_enc", "b_dec"));
  for (const std::string& name : tensors.names()) EXPECT_EQ(tensors.Read(name).scalar_type(), at::kFloat);
  EXPECT_EQ(tensors.Read("W_enc").sizes(), at::IntArrayRef({6, 20}));
}

TEST(WriteSaeLens, NeverTouchesWhatIsThere) {
  const std::string parent = TemporaryFolder(), folder = parent + "/sae";
  const auto weights = SmallWeights();
  WriteSaeLens(folder, weights, {"m", "blocks.0.hook_resid_post"});
  const std::string before = ReadFile(folder + "/cfg.json");
  EXPECT_THROW(WriteSaeLens(folder, weights, {"m", "blocks.0.hook_resid_post"}), c10::ValueError);
  EXPECT_EQ(ReadFile(folder + "/cfg.json"), before);
  EXPECT_THROW(WriteSaeLens(folder + "/cfg.json", weights, {"m", "p"}), c10::ValueError);
  int64_t entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(parent)) ++entries;
  EXPECT_EQ(entries, 1) << "a partial folder was left behind";
}

}  // namespace
}  // namespace lifescope
