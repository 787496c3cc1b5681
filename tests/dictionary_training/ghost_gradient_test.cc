#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "server/artifact/safetensors.h"
#include "server/dictionary/training/ghost_gradient_objective.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

TEST(GhostGradients, ReconstructAsDictionaryLearning) {
  const std::string folder = "sae/units/dl_ghost_fold_scale";
  if (!HasGolden(folder)) GTEST_SKIP() << "the small golden set has no " << folder;
  const SafetensorsFile file = SafetensorsFile::Open(GoldenPath(folder + "/fixture.safetensors"));
  const auto get = [&](const char* name) { return file.Read(name).to(at::kDouble); };
  const at::Tensor pre = (get("in/x") - get("w0/bias")).mm(get("w0/encoder.weight").t()) + get("w0/encoder.bias");
  const at::Tensor masked = get("in/ghost_mask").nonzero().select(1, 0);
  const at::Tensor expected = file.Read("f64/x_ghost");
  ExpectClose(GhostReconstruction(pre, get("w0/decoder.weight").t(), masked), expected,
              1e-10 * expected.abs().max().item<double>(), 0, "sae.ghost.f64");
}

TEST(GhostGradients, TranscoderIsExportedWithItsInputBiasFolded) {
  GhostGradientOptions options;
  options.input_dim = 6;
  options.output_dim = 4;
  options.feature_count = 20;
  const GhostGradientObjective objective(options);
  RandomTensors random(3);
  Parameters parameters = objective.Initialise(2);
  ASSERT_EQ(parameters.at(kDecoder).sizes(), (at::IntArrayRef{20, 4}));
  for (auto& [name, parameter] : parameters) parameter = parameter + 0.3 * random.Normal(parameter.sizes());
  const TrainingRows rows{random.Normal({30, 6}), random.Normal({30, 4})};
  const Evaluation evaluation = objective.Evaluate(parameters, objective.InitialState(), rows, {});
  EXPECT_GT(evaluation.gradients.at(kInputBias).abs().max().item<double>(), 0);
  const DictionaryWeights weights = objective.Export(parameters, objective.InitialState());
  EXPECT_FALSE(weights.apply_b_dec_to_input);
  const auto dictionary = MakeDictionary(weights, at::kDouble, at::kCPU);
  const at::Tensor error = rows.target - dictionary->Decode(dictionary->Encode(rows.input), rows.input);
  EXPECT_NEAR(error.square().sum().item<double>(), evaluation.figures.squared_error, 1e-10);
}

}  // namespace
}  // namespace lifescope
