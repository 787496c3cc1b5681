#include "server/dictionary/input_scale.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "tests/dictionary/random_tensors.h"

namespace lifescope {
namespace {

constexpr int64_t kWidth = 6, kFeatures = 10;
constexpr double kFactor = 0.3;

DictionaryWeights Random(const std::string& architecture) {
  RandomTensors random(11);
  DictionaryWeights weights;
  weights.architecture = architecture;
  weights.tensors = {{"W_enc", random.Normal({kWidth, kFeatures})},
                     {"W_dec", random.Normal({kFeatures, kWidth})},
                     {"b_dec", random.Normal({kWidth})}};
  const std::vector<const char*> vectors = architecture == "gated"
                                               ? std::vector<const char*>{"b_gate", "b_mag", "r_mag"}
                                               : std::vector<const char*>{"b_enc"};
  for (const char* name : vectors) weights.tensors[name] = random.Normal({kFeatures});
  if (architecture == "jumprelu") weights.tensors["threshold"] = random.Uniform({kFeatures}, 0.1, 0.5);
  if (architecture == "topk") weights.k = 3;
  return weights;
}

class InputScale : public testing::TestWithParam<std::string> {};

TEST_P(InputScale, FoldedWeightsReadRowsAsTheyAre) {
  const DictionaryWeights weights = Random(GetParam());
  const auto trained = MakeDictionary(weights, at::kDouble, at::kCPU);
  const at::Tensor x = RandomTensors(12).Normal({20, kWidth}), scaled = x * kFactor;
  const at::Tensor acts = trained->Encode(scaled), reconstruction = trained->Decode(acts, scaled) / kFactor;
  ASSERT_GT(acts.count_nonzero().item<int64_t>(), 0);
  for (const FeatureUnits units : {FeatureUnits::kOfTraining, FeatureUnits::kOfRows}) {
    const auto folded = MakeDictionary(FoldInputScale(weights, kFactor, units), at::kDouble, at::kCPU);
    const at::Tensor folded_acts = folded->Encode(x);
    const double per_row = units == FeatureUnits::kOfRows ? 1 / kFactor : 1;
    EXPECT_TRUE(at::allclose(folded_acts, acts * per_row, 1e-12, 1e-13));
    EXPECT_TRUE(at::allclose(folded->Decode(folded_acts, x), reconstruction, 1e-12, 1e-13));
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, InputScale, testing::Values("standard", "gated", "jumprelu", "topk"),
                         [](const testing::TestParamInfo<std::string>& info) { return info.param; });

TEST(InputScale, RefusesWhatHasNoFold) {
  EXPECT_THROW(FoldInputScale(Random("standard"), 0, FeatureUnits::kOfRows), c10::ValueError);
  DictionaryWeights weights = Random("standard");
  weights.normalisation = Normalisation::kLayerNorm;
  EXPECT_THROW(FoldInputScale(weights, kFactor, FeatureUnits::kOfRows), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
