// Gated dictionaries against their references.
#include <gtest/gtest.h>

#include "server/dictionary/training/gated_recipes.h"
#include "tests/dictionary_training/fixture.h"

namespace lifescope {
namespace {

const std::vector<NamedParameter> kDictionaryLearning{
    {kEncoder, "encoder.weight", false}, {kGateBias, "gate_bias", false},    {kMagnitudeBias, "mag_bias", false},
    {kLogMagnitude, "r_mag", false},     {kDecoder, "decoder.weight", true}, {kDecoderBias, "decoder_bias", false}};
const std::vector<NamedParameter> kSaeLens{{kEncoder, "W_enc", true},        {kGateBias, "b_gate", false},
                                           {kMagnitudeBias, "b_mag", false}, {kLogMagnitude, "r_mag", false},
                                           {kDecoder, "W_dec", false},       {kDecoderBias, "b_dec", false}};

FixtureCase DlGated() {
  const Fixture fixture("dl_gated");
  GatedRecipe recipe = DictionaryLearningGated(fixture.input_dim(), fixture.feature_count());
  recipe.objective.sparsity_coefficient = fixture.hyper()["l1_penalty"];
  recipe.loop.schedule = {fixture.hyper()["lr"]};
  recipe.loop.sparsity_warmup_steps = 0;
  return {"dl_gated",
          kDictionaryLearning,
          std::make_shared<GatedObjective>(recipe.objective),
          recipe.loop,
          {{"mse", "mse_loss"}, {"sparsity", "sparsity_loss"}, {"auxiliary", "aux_loss"}}};
}

FixtureCase DlGatedAnneal() {
  const Fixture fixture("dl_gated_anneal");
  const nlohmann::json& hyper = fixture.hyper();
  GatedRecipe recipe =
      DictionaryLearningGatedAnneal(fixture.input_dim(), fixture.feature_count(), /*total_steps=*/30'000);
  recipe.objective.sparsity_coefficient = hyper["initial_sparsity_penalty"];
  recipe.objective.annealing = {
      hyper["n_sparsity_updates"],   hyper["anneal_start"], hyper["anneal_end"], hyper["p_start"], hyper["p_end"],
      hyper["sparsity_queue_length"]};
  recipe.loop.schedule = {hyper["lr"]};
  recipe.loop.sparsity_warmup_steps = 0;
  FixtureCase result{"dl_gated_anneal",
                     kDictionaryLearning,
                     std::make_shared<GatedObjective>(recipe.objective),
                     recipe.loop,
                     {{"mse", "mse_loss"}, {"sparsity", "lp_loss"}, {"auxiliary", "aux_loss"}}};
  result.fifth_step_tolerance = 1e-8;  // the golden set's, where p is below 1
  return result;
}

FixtureCase SlGated() {
  const Fixture fixture("sl_gated");
  GatedRecipe recipe = SaeLensGated(fixture.input_dim(), fixture.feature_count());
  recipe.objective.sparsity_coefficient = fixture.hyper()["l1_coefficient"];
  recipe.loop.schedule = {fixture.hyper()["lr"]};
  FixtureCase result{"sl_gated",
                     kSaeLens,
                     std::make_shared<GatedObjective>(recipe.objective),
                     recipe.loop,
                     {{"mse", "mse_loss"}, {"auxiliary", "auxiliary_reconstruction_loss"}}};
  result.state = {{kSinceFired, "n_forward_passes_since_fired"}, {kFireCount, "act_freq_scores"}};
  return result;
}

INSTANTIATE_TEST_SUITE_P(Gated, TrainingFixture,
                         Fixtures({{"dl_gated", DlGated}, {"dl_gated_anneal", DlGatedAnneal}, {"sl_gated", SlGated}}),
                         FixtureName);

}  // namespace
}  // namespace lifescope
