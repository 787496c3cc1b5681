// Every option of the variants that have no golden fixture of their own: the sparse path against the definition.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "server/dictionary/training/crosscoder_objective.h"
#include "server/dictionary/training/gated_objective.h"
#include "server/dictionary/training/jumprelu_objective.h"
#include "server/dictionary/training/relu_objective.h"
#include "tests/dictionary/random_tensors.h"

namespace lifescope {
namespace {

constexpr int64_t kWidth = 12, kFeatures = 40, kRows = 30;

// Both paths at parameters of norm about 1 that are moved away from where a training starts.
void ExpectPathsAgree(const Objective& objective, Matmul matmul) {
  RandomTensors random(7);
  Parameters parameters = objective.Initialise(5);
  for (auto& [name, parameter] : parameters) parameter = parameter + 0.1 * random.Normal(parameter.sizes());
  parameters[kEncoder] = Operand(matmul, parameters[kEncoder]);
  const at::Tensor x = random.Normal({kRows, objective.input_dim()});
  ObjectiveState state = objective.InitialState();
  // A third of the features is past any window.
  state[kSinceFired] = (at::arange(objective.feature_count()) % 3 == 0).to(at::kLong) * 20'000'000;
  const TrainingContext context{2, 0.5, matmul};
  const Evaluation expected = Differentiate(objective, parameters, state, {x, x}, context);
  const Evaluation actual = objective.Evaluate(parameters, state, {x, x}, context);
  EXPECT_NEAR(actual.loss, expected.loss, 1e-12 * std::abs(expected.loss));
  ASSERT_EQ(actual.terms.size(), expected.terms.size());
  for (const auto& [name, value] : expected.terms) EXPECT_NEAR(actual.terms.at(name), value, 1e-12 * std::abs(value));
  for (const auto& [name, parameter] : parameters) {
    const auto found = expected.gradients.find(name);
    ASSERT_TRUE(found != expected.gradients.end()) << name;
    EXPECT_GT(found->second.abs().max().item<double>(), 0) << name;
    EXPECT_TRUE(at::allclose(actual.gradients.at(name), found->second, 1e-10, 1e-13)) << name;
  }
  EXPECT_GT(actual.figures.active_entries, 0);
  EXPECT_EQ(actual.figures.active_entries, expected.figures.active_entries);
  EXPECT_EQ(actual.figures.dead_feature_count, expected.figures.dead_feature_count);
  EXPECT_TRUE(at::equal(actual.next_state.at(kFireCount), expected.next_state.at(kFireCount)));
}

void ExpectPathsAgree(const Objective& objective) {
  ExpectPathsAgree(objective, Matmul::kFull);
  ExpectPathsAgree(objective, Matmul::kBfloat16);
}

struct ReluCase {
  const char* name;
  void (*change)(ReluOptions& options);
};
class ReluOptionsTest : public testing::TestWithParam<ReluCase> {};

TEST_P(ReluOptionsTest, PathsAgree) {
  ReluOptions options;
  options.input_dim = kWidth;
  options.feature_count = kFeatures;
  GetParam().change(options);
  ExpectPathsAgree(ReluObjective(options));
}

using PenaltyForm = SparsityPenalty::Form;
INSTANTIATE_TEST_SUITE_P(Options, ReluOptionsTest,
                         testing::Values(ReluCase{"Tanh", [](ReluOptions& o) { o.penalty.form = PenaltyForm::kTanh; }},
                                         ReluCase{"TanhByDecoderNorm",
                                                  [](ReluOptions& o) {
                                                    o.penalty.form = PenaltyForm::kTanh;
                                                    o.weight_by_decoder_norm = true;
                                                  }},
                                         ReluCase{"PowerByDecoderNorm",
                                                  [](ReluOptions& o) {
                                                    o.penalty.exponent = 0.7;
                                                    o.weight_by_decoder_norm = true;
                                                  }},
                                         ReluCase{"EuclideanNormTied",
                                                  [](ReluOptions& o) {
                                                    o.penalty = {PenaltyForm::kNorm, 2};
                                                    o.weight_by_decoder_norm = true;
                                                    o.tied = true;
                                                  }},
                                         ReluCase{"RelativeWithoutInputBias",
                                                  [](ReluOptions& o) {
                                                    o.scale = LossScale::kRelative;
                                                    o.penalty.exponent = 0.5;
                                                    o.apply_b_dec_to_input = false;
                                                  }}),
                         [](const testing::TestParamInfo<ReluCase>& info) { return std::string(info.param.name); });

JumpReluOptions WideKernel() {
  JumpReluOptions options;
  options.input_dim = kWidth;
  options.feature_count = kFeatures;
  options.initial_threshold = 0.3;
  options.bandwidth = 0.4;
  options.dead.counts_batch_first = false;
  return options;
}

struct JumpReluCase {
  std::string name;
  void (*change)(JumpReluOptions& options);
};
class JumpReluOptionsTest : public testing::TestWithParam<JumpReluCase> {};

TEST_P(JumpReluOptionsTest, PathsAgree) {
  JumpReluOptions options = WideKernel();
  GetParam().change(options);
  ExpectPathsAgree(JumpReluObjective(options));
}

INSTANTIATE_TEST_SUITE_P(
    Options, JumpReluOptionsTest,
    testing::Values(JumpReluCase{"Defaults", [](JumpReluOptions&) {}},
                    JumpReluCase{"KernelOnInput", [](JumpReluOptions& o) { o.kernel_on_input = true; }},
                    JumpReluCase{"RectifiedBelowTheKernel",
                                 [](JumpReluOptions& o) {
                                   o.rectify_first = true;
                                   o.bandwidth = 0.8;
                                 }},
                    JumpReluCase{"RectifiedWithKernelOnInput",
                                 [](JumpReluOptions& o) {
                                   o.rectify_first = true;
                                   o.kernel_on_input = true;
                                   o.bandwidth = 0.8;
                                 }},
                    JumpReluCase{"PlainThresholdsSomeNegative",
                                 [](JumpReluOptions& o) {
                                   o.threshold = JumpReluOptions::Threshold::kPlain;
                                   o.initial_threshold = 0.02;
                                   o.step_sees_activations = true;
                                 }},
                    JumpReluCase{
                        "FrequencyQuadratic",
                        [](JumpReluOptions& o) { o.l0_penalty.shape = L0Penalty::Shape::kFrequencyQuadratic; }},
                    JumpReluCase{"QuadraticTargetOfActivations",
                                 [](JumpReluOptions& o) {
                                   o.l0_penalty.shape = L0Penalty::Shape::kQuadraticTarget;
                                   o.step_sees_activations = true;
                                   o.bandwidth = 0.8;
                                 }},
                    JumpReluCase{"PreActivationOfDead", [](JumpReluOptions& o) { o.pre_activation_coefficient = 0.1; }},
                    JumpReluCase{"AnthropicJanuary2025",
                                 [](JumpReluOptions& o) {
                                   o.kernel_on_input = true;
                                   o.sparsity = JumpReluOptions::Sparsity::kTanh;
                                   o.pre_activation_coefficient = 0.1;
                                   o.pre_activation_of_all = true;
                                   o.bandwidth = 2;
                                 }},
                    JumpReluCase{"WithoutChainFactor",
                                 [](JumpReluOptions& o) {
                                   o.threshold = JumpReluOptions::Threshold::kLogWithoutChainFactor;
                                   o.error_per_dimension = true;
                                   o.apply_b_dec_to_input = false;
                                 }}),
    [](const testing::TestParamInfo<JumpReluCase>& info) { return info.param.name; });

TEST(GatedOptions, PathsAgreeWithoutBiasOnTheInput) {
  GatedOptions options;
  options.input_dim = kWidth;
  options.feature_count = kFeatures;
  options.apply_b_dec_to_input = false;
  ExpectPathsAgree(GatedObjective(options));
  options.weight_by_decoder_norm = true;
  options.auxiliary_decoder_is_frozen = false;
  ExpectPathsAgree(GatedObjective(options));
}

TEST(CrosscoderOptions, PathsAgreeWithSitesOfDifferentWidth) {
  CrosscoderOptions options;
  options.site_widths = {kWidth, 5, 7};
  options.feature_count = kFeatures;
  ExpectPathsAgree(CrosscoderObjective(options));
  options.norm_over_sites = CrosscoderOptions::NormOverSites::kL2;
  ExpectPathsAgree(CrosscoderObjective(options));
}

TEST(CrosscoderOptions, L2NormIsTheNormOfTheWholeDirection) {
  CrosscoderOptions options;
  options.site_widths = {kWidth, kWidth};
  options.feature_count = kFeatures;
  options.norm_over_sites = CrosscoderOptions::NormOverSites::kL2;
  const CrosscoderObjective whole(options);
  options.norm_over_sites = CrosscoderOptions::NormOverSites::kSum;
  const CrosscoderObjective sum(options);
  const Parameters parameters = whole.Initialise(1);
  const at::Tensor x = RandomTensors(2).Normal({kRows, 2 * kWidth});
  // Sites start with equal norms: their sum is sqrt(2) times the norm of both.
  const double l2 = whole.Evaluate(parameters, whole.InitialState(), {x, x}, {}).terms.at("sparsity");
  EXPECT_NEAR(sum.Evaluate(parameters, sum.InitialState(), {x, x}, {}).terms.at("sparsity"), l2 * std::sqrt(2.0),
              1e-12 * l2);
}

}  // namespace
}  // namespace lifescope
