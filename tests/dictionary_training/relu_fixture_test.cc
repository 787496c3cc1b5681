// ReLU dictionaries against their references.
#include <gtest/gtest.h>

#include "server/dictionary/training/relu_objective.h"
#include "tests/dictionary_training/fixture.h"

namespace lifescope {
namespace {

const std::vector<NamedParameter> kDictionaryLearning{{kEncoder, "encoder.weight", false},
                                                      {kEncoderBias, "encoder.bias", false},
                                                      {kDecoder, "decoder.weight", true},
                                                      {kDecoderBias, "bias", false}};
const std::vector<NamedParameter> kSaeLens{{kEncoder, "W_enc", true},
                                           {kEncoderBias, "b_enc", false},
                                           {kDecoder, "W_dec", false},
                                           {kDecoderBias, "b_dec", false}};

ReluOptions SizesOf(const Fixture& fixture) {
  ReluOptions options;
  options.input_dim = fixture.input_dim();
  options.feature_count = fixture.feature_count();
  return options;
}

FixtureCase DlStandard() {
  const Fixture fixture("dl_standard_l1");
  ReluOptions objective = SizesOf(fixture);
  objective.sparsity_coefficient = fixture.hyper()["l1_penalty"];
  SaeTrainerOptions options;
  options.schedule.peak = fixture.hyper()["lr"];
  options.sparsity_warmup_steps = fixture.hyper()["sparsity_warmup_steps"];
  options.constraint = {DecoderConstraint::Normalise::kAfterUpdate, 0, true, 0};
  return {"dl_standard_l1",
          kDictionaryLearning,
          std::make_shared<ReluObjective>(objective),
          options,
          {{"mse", "mse_loss"}, {"sparsity", "sparsity_loss"}}};
}

FixtureCase DlApril() {
  const Fixture fixture("dl_standard_april_l1_wdec");
  ReluOptions objective = SizesOf(fixture);
  objective.sparsity_coefficient = fixture.hyper()["l1_penalty"];
  objective.weight_by_decoder_norm = true;
  SaeTrainerOptions options;
  options.schedule.peak = fixture.hyper()["lr"];
  options.gradient_clip = fixture.hyper()["grad_clip"];
  return {"dl_standard_april_l1_wdec",
          kDictionaryLearning,
          std::make_shared<ReluObjective>(objective),
          options,
          {{"mse", "mse_loss"}, {"sparsity", "sparsity_loss"}}};
}

FixtureCase SlStandard() {
  const Fixture fixture("sl_standard_l1");
  ReluOptions objective = SizesOf(fixture);
  objective.sparsity_coefficient = fixture.hyper()["l1_coefficient"];
  objective.weight_by_decoder_norm = true;
  objective.dead = {DeadRule::Unit::kSteps, fixture.hyper()["dead_feature_window"], false, false};
  SaeTrainerOptions options;
  options.schedule.peak = fixture.hyper()["lr"];
  options.gradient_clip = fixture.hyper()["grad_clip"];
  FixtureCase result{
      "sl_standard_l1", kSaeLens, std::make_shared<ReluObjective>(objective), options, {{"mse", "mse_loss"}}};
  result.state = {{kSinceFired, "n_forward_passes_since_fired"}, {kFireCount, "act_freq_scores"}};
  return result;
}

INSTANTIATE_TEST_SUITE_P(
    Relu, TrainingFixture,
    Fixtures({{"dl_standard_l1", DlStandard}, {"dl_standard_april_l1_wdec", DlApril}, {"sl_standard_l1", SlStandard}}),
    FixtureName);

}  // namespace
}  // namespace lifescope
