// JumpReLU dictionaries against their references.
#include <gtest/gtest.h>

#include "server/dictionary/training/jumprelu_recipes.h"
#include "tests/dictionary_training/fixture.h"

namespace lifescope {
namespace {

std::vector<NamedParameter> Names(const char* threshold) {
  return {{kEncoder, "W_enc", true},
          {kEncoderBias, "b_enc", false},
          {kThreshold, threshold, false},
          {kDecoder, "W_dec", false},
          {kDecoderBias, "b_dec", false}};
}

FixtureCase SlStep() {
  const Fixture fixture("sl_jumprelu_step");
  JumpReluRecipe recipe = SaeLensJumpRelu(fixture.input_dim(), fixture.feature_count());
  recipe.objective.bandwidth = fixture.hyper()["jumprelu_bandwidth"];
  recipe.objective.sparsity_coefficient = fixture.hyper()["l0_coefficient"];
  recipe.objective.pre_activation_coefficient = fixture.hyper()["pre_act_loss_coefficient"];
  recipe.loop.schedule = {fixture.hyper()["lr"]};
  FixtureCase result{"sl_jumprelu_step",
                     Names("log_threshold"),
                     std::make_shared<JumpReluObjective>(recipe.objective),
                     recipe.loop,
                     {{"mse", "mse_loss"}}};
  result.initial_state = {{kSinceFired, fixture.file().Read("in/n_forward_passes_since_fired0").to(at::kLong)}};
  result.state = {{kSinceFired, "n_forward_passes_since_fired"}, {kFireCount, "act_freq_scores"}};
  return result;
}

FixtureCase SlTanh() {
  const Fixture fixture("sl_jumprelu_tanh");
  JumpReluRecipe recipe = SaeLensJumpRelu(fixture.input_dim(), fixture.feature_count());
  recipe.objective.bandwidth = fixture.hyper()["jumprelu_bandwidth"];
  recipe.objective.sparsity = JumpReluOptions::Sparsity::kTanh;
  recipe.objective.sparsity_coefficient = fixture.hyper()["l0_coefficient"];
  recipe.objective.tanh_scale = fixture.hyper()["jumprelu_tanh_scale"];
  recipe.loop.schedule = {fixture.hyper()["lr"]};
  FixtureCase result{"sl_jumprelu_tanh",
                     Names("log_threshold"),
                     std::make_shared<JumpReluObjective>(recipe.objective),
                     recipe.loop,
                     {{"mse", "mse_loss"}}};
  result.state = {{kSinceFired, "n_forward_passes_since_fired"}, {kFireCount, "act_freq_scores"}};
  return result;
}

FixtureCase DlQuadratic() {
  const Fixture fixture("dl_jumprelu_quadratic_l0");
  JumpReluRecipe recipe = DictionaryLearningJumpRelu(fixture.input_dim(), fixture.feature_count());
  recipe.objective.bandwidth = fixture.hyper()["bandwidth"];
  recipe.objective.sparsity_coefficient = fixture.hyper()["sparsity_penalty"];
  recipe.objective.l0_penalty.target_l0 = fixture.hyper()["target_l0"];
  recipe.loop.schedule = {fixture.hyper()["lr"]};
  recipe.loop.sparsity_warmup_steps = 0;
  FixtureCase result{"dl_jumprelu_quadratic_l0",
                     Names("threshold"),
                     std::make_shared<JumpReluObjective>(recipe.objective),
                     recipe.loop,
                     {{"mse", "recon_loss"}, {"sparsity", "sparsity_loss"}, {"l0", "l0"}}};
  result.fifth_step_tolerance = 1e-8;  // the golden set's, of this variant
  return result;
}

FixtureCase BbL0() {
  const Fixture fixture("bb_jumprelu");
  JumpReluRecipe recipe = BussmannJumpRelu(fixture.input_dim(), fixture.feature_count());
  recipe.objective.bandwidth = fixture.hyper()["bandwidth"];
  recipe.objective.sparsity_coefficient = fixture.hyper()["l1_coeff"];
  recipe.loop.schedule = {fixture.hyper()["lr"]};
  // The reference does not count what fires here: its counters rest.
  return {"bb_jumprelu",
          Names("jumprelu.log_threshold"),
          std::make_shared<JumpReluObjective>(recipe.objective),
          recipe.loop,
          {{"mse", "l2_loss"}, {"sparsity", "l0_norm"}}};
}

INSTANTIATE_TEST_SUITE_P(JumpRelu, TrainingFixture,
                         Fixtures({{"sl_jumprelu_step", SlStep},
                                   {"sl_jumprelu_tanh", SlTanh},
                                   {"dl_jumprelu_quadratic_l0", DlQuadratic},
                                   {"bb_jumprelu", BbL0}}),
                         FixtureName);

}  // namespace
}  // namespace lifescope
