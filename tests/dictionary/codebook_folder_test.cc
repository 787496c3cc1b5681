// Codebooks on disk: the folder of SAELens under a name of our own.
#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "server/dictionary/codebook.h"
#include "server/dictionary/files/saelens.h"
#include "server/dictionary/input_scale.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

DictionaryWeights RandomCodebook(const std::string& architecture) {
  RandomTensors random(17);
  DictionaryWeights weights;
  weights.architecture = architecture;
  weights.tensors = {{"codes", random.Normal({9, 4}, at::kFloat)},
                     {"norm_weight", random.Normal({4}, at::kFloat)},
                     {"norm_bias", random.Normal({4}, at::kFloat)}};
  weights.k = 3;
  weights.apply_b_dec_to_input = false;
  return weights;
}

TEST(CodebookFolder, ComesBackTheSame) {
  const at::Tensor x = RandomTensors(18).Normal({6, 4}, at::kFloat);
  for (const char* architecture : {"codebook", "codebook_euclidean"}) {
    const DictionaryWeights weights = RandomCodebook(architecture);
    const std::string folder = TemporaryFolder() + "/codebook";
    WriteSaeLens(folder, weights, {"tiny", "blocks.1.hook_resid_post"});
    const LoadedDictionary loaded = LoadSaeLens(folder, at::kFloat, at::kCPU);
    EXPECT_EQ(loaded.dictionary->architecture(), architecture);
    EXPECT_EQ(loaded.info.hook_point, "blocks.1.hook_resid_post");
    const auto original = MakeDictionary(weights, at::kFloat, at::kCPU);
    const at::Tensor acts = loaded.dictionary->Encode(x);
    EXPECT_TRUE(at::equal(acts, original->Encode(x)));
    EXPECT_TRUE(at::equal(loaded.dictionary->Decode(acts, x), original->Decode(acts, x)));
    EXPECT_TRUE(at::equal(loaded.dictionary->DecodeChange(acts, {0, 1, 2, 3, 4, 5, 6, 7, 8}, x),
                          loaded.dictionary->Decode(acts, x)));
  }
}

TEST(CodebookFolder, IsNotWrittenForAnotherHookPointAndHasNoInputScale) {
  const DictionaryWeights weights = RandomCodebook("codebook");
  DictionaryInfo info{"tiny", "blocks.1.hook_resid_post"};
  info.output_hook_point = "blocks.1.hook_mlp_out";
  EXPECT_THROW(WriteSaeLens(TemporaryFolder() + "/codebook", weights, info), c10::ValueError);
  EXPECT_THROW(FoldInputScale(weights, 2, FeatureUnits::kOfRows), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
