#include "server/dictionary/decoder_norm.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/dictionary/input_scale.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

const char kGolden[] = "sae/units/dl_ghost_fold_scale";

DictionaryWeights Read(const SafetensorsFile& file, const std::string& prefix) {
  DictionaryWeights weights;
  weights.architecture = "standard";
  weights.tensors = {{"W_enc", file.Read(prefix + "/encoder.weight").t()},
                     {"b_enc", file.Read(prefix + "/encoder.bias")},
                     {"W_dec", file.Read(prefix + "/decoder.weight").t()},
                     {"b_dec", file.Read(prefix + "/bias")}};
  return weights;
}

// normalize_decoder and scale_biases of dictionary_learning.
TEST(DecoderNorm, FoldsAsDictionaryLearning) {
  if (!HasGolden(kGolden)) GTEST_SKIP() << "the small golden set has no " << kGolden;
  const std::string folder = GoldenPath(kGolden);
  const SafetensorsFile file = SafetensorsFile::Open(folder + "/fixture.safetensors");
  const DictionaryWeights folded = FoldDecoderNorm(Read(file, "fold_in"));
  for (const auto& [name, expected] : Read(file, "fold_out_f64").tensors) {
    SCOPED_TRACE(name);
    ExpectClose(folded.tensors.at(name), expected, 1e-12, 1e-10, "sae.fold.f64");
  }
  const double factor = nlohmann::json::parse(ReadFile(folder + "/fixture.json"))["hyper"]["norm_factor"];
  const DictionaryWeights scaled = FoldInputScale(Read(file, "w0"), 1 / factor, FeatureUnits::kOfRows);
  ExpectClose(scaled.tensors.at("b_enc"), file.Read("scaled_f32/encoder.bias"), 1e-6, 0, "sae.fold.f32");
  ExpectClose(scaled.tensors.at("b_dec"), file.Read("scaled_f32/bias"), 1e-6, 0, "sae.fold.f32");
}

TEST(DecoderNorm, KeepsReconstructions) {
  constexpr int64_t kWidth = 6, kFeatures = 10;
  for (const bool is_gated : {false, true}) {
    RandomTensors random(4);
    DictionaryWeights weights;
    weights.architecture = is_gated ? "gated" : "jumprelu";
    weights.tensors = {{"W_enc", random.Normal({kWidth, kFeatures})},
                       {"W_dec", random.Normal({kFeatures, kWidth})},
                       {"b_dec", random.Normal({kWidth})}};
    if (is_gated) {
      for (const char* name : {"b_gate", "b_mag", "r_mag"}) weights.tensors[name] = random.Normal({kFeatures});
    } else {
      weights.tensors["b_enc"] = random.Normal({kFeatures});
      weights.tensors["threshold"] = random.Uniform({kFeatures}, 0.1, 0.5);
    }
    weights.tensors["W_dec"][3].zero_();
    const at::Tensor x = random.Normal({50, kWidth});
    const auto free = MakeDictionary(weights, at::kDouble, at::kCPU);
    const auto unit = MakeDictionary(FoldDecoderNorm(weights), at::kDouble, at::kCPU);
    const at::Tensor acts = free->Encode(x), unit_acts = unit->Encode(x);
    ASSERT_GT(acts.count_nonzero().item<int64_t>(), 0);
    EXPECT_TRUE(at::allclose(unit_acts, acts * weights.tensors["W_dec"].norm(2, 1), 1e-12, 1e-13));
    EXPECT_TRUE(at::allclose(unit->Decode(unit_acts, x), free->Decode(acts, x), 1e-12, 1e-13));
  }
}

}  // namespace
}  // namespace lifescope
