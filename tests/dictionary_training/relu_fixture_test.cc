// ReLU dictionaries against their references.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "server/dictionary/training/relu_recipes.h"
#include "tests/dictionary_training/fixture.h"

namespace lifescope {
namespace {

const std::vector<NamedParameter> kDictionaryLearning{{kEncoder, "encoder.weight", false},
                                                      {kEncoderBias, "encoder.bias", false},
                                                      {kDecoder, "decoder.weight", true},
                                                      {kDecoderBias, "bias", false}};
const std::vector<NamedParameter> kAiSafetyFoundation{{kEncoder, "encoder.weight", false},
                                                      {kEncoderBias, "encoder.bias", false},
                                                      {kDecoder, "decoder.weight", true},
                                                      {kDecoderBias, "tied_bias", false}};
const std::vector<NamedParameter> kSaeLens{{kEncoder, "W_enc", true},
                                           {kEncoderBias, "b_enc", false},
                                           {kDecoder, "W_dec", false},
                                           {kDecoderBias, "b_dec", false}};
const std::vector<NamedParameter> kOpenAiTied{
    {kEncoder, "encoder.weight", false}, {kEncoderBias, "latent_bias", false}, {kDecoderBias, "pre_bias", false}};
const std::vector<NamedParameter> kCunninghamTied{{kEncoder, "encoder", false}, {kEncoderBias, "encoder_bias", false}};

std::vector<NamedParameter> With(std::vector<NamedParameter> parameters, const NamedParameter& another) {
  parameters.push_back(another);
  return parameters;
}

using MakeReluRecipe = ReluRecipe (*)(int64_t, int64_t);

// The recipe with what every fixture sets.
ReluRecipe RecipeFor(const Fixture& fixture, MakeReluRecipe make, const char* coefficient) {
  ReluRecipe recipe = make(fixture.input_dim(), fixture.feature_count());
  recipe.objective.sparsity_coefficient = fixture.hyper()[coefficient];
  recipe.loop.schedule.peak = fixture.hyper()["lr"];
  recipe.loop.schedule.warmup_steps = 0;
  recipe.loop.sparsity_warmup_steps = 0;
  return recipe;
}

FixtureCase CaseOf(const char* name, const std::vector<NamedParameter>& parameters, const ReluRecipe& recipe,
                   const std::map<std::string, std::string>& terms) {
  return {name, parameters, std::make_shared<ReluObjective>(recipe.objective), recipe.loop, terms};
}

FixtureCase DlStandard() {
  const char name[] = "dl_standard_l1";
  const Fixture fixture(name);
  ReluRecipe recipe = RecipeFor(fixture, DictionaryLearningStandard, "l1_penalty");
  recipe.loop.sparsity_warmup_steps = fixture.hyper()["sparsity_warmup_steps"];
  return CaseOf(name, kDictionaryLearning, recipe, {{"mse", "mse_loss"}, {"sparsity", "sparsity_loss"}});
}

FixtureCase DlApril() {
  const char name[] = "dl_standard_april_l1_wdec";
  const ReluRecipe recipe = RecipeFor(Fixture(name), DictionaryLearningApril, "l1_penalty");
  return CaseOf(name, kDictionaryLearning, recipe, {{"mse", "mse_loss"}, {"sparsity", "sparsity_loss"}});
}

FixtureCase DlSquareRoot() {
  const char name[] = "dl_lp_sqrt_p0.5";
  ReluRecipe recipe = RecipeFor(Fixture(name), DictionaryLearningStandard, "initial_sparsity_penalty");
  recipe.objective.penalty.exponent = 0.5;
  FixtureCase result = CaseOf(name, kDictionaryLearning, recipe, {{"sparsity", "lp_loss"}});
  result.fifth_step_tolerance = 1e-8;
  return result;
}

FixtureCase DlPAnneal() {
  const char name[] = "dl_p_anneal";
  const Fixture fixture(name);
  const nlohmann::json& hyper = fixture.hyper();
  ReluRecipe recipe = RecipeFor(fixture, DictionaryLearningPAnneal, "initial_sparsity_penalty");
  recipe.objective.annealing = {
      hyper["n_sparsity_updates"],   hyper["anneal_start"], hyper["anneal_end"], hyper["p_start"], hyper["p_end"],
      hyper["sparsity_queue_length"]};
  FixtureCase result = CaseOf(name, kDictionaryLearning, recipe, {{"sparsity", "lp_loss"}});
  result.fifth_step_tolerance = 1e-8;
  return result;
}

FixtureCase SlStandard() {
  const char name[] = "sl_standard_l1";
  FixtureCase result =
      CaseOf(name, kSaeLens, RecipeFor(Fixture(name), SaeLensStandard, "l1_coefficient"), {{"mse", "mse_loss"}});
  result.state = {{kSinceFired, "n_forward_passes_since_fired"}, {kFireCount, "act_freq_scores"}};
  return result;
}

FixtureCase SlNorm() {
  const char name[] = "sl_standard_p0.5norm";
  ReluRecipe recipe = RecipeFor(Fixture(name), SaeLensStandard, "l1_coefficient");
  recipe.objective.penalty.form = SparsityPenalty::Form::kNorm;
  recipe.objective.penalty.exponent = 0.5;
  FixtureCase result = CaseOf(name, kSaeLens, recipe, {{"mse", "mse_loss"}});
  result.state = {{kSinceFired, "n_forward_passes_since_fired"}, {kFireCount, "act_freq_scores"}};
  result.fifth_step_tolerance = 1e-8;
  return result;
}

FixtureCase Aisf() {
  const char name[] = "aisf_standard_l1";
  FixtureCase result = CaseOf(name, kAiSafetyFoundation, RecipeFor(Fixture(name), AiSafetyFoundation, "l1_coefficient"),
                              {{"mse", "l2_reconstruction"}, {"sparsity", "l1"}});
  result.raw_gradient_is_projected = true;
  return result;
}

FixtureCase BatchTopKAuthors() {
  const char name[] = "bb_vanilla_l1";
  FixtureCase result =
      CaseOf(name, kSaeLens, RecipeFor(Fixture(name), BatchTopKVanilla, "l1_coeff"), {{"mse", "l2_loss"}});
  result.state = {{kSinceFired, "num_batches_not_active"}};
  return result;
}

FixtureCase OpenAi() {
  const char name[] = "oai_relu";
  return CaseOf(name, With(kOpenAiTied, {kDecoder, "decoder.weight", true}),
                RecipeFor(Fixture(name), OpenAiRelu, "l1_weight"),
                {{"mse", "normalized_mse"}, {"sparsity", "normalized_l1"}});
}

FixtureCase OpenAiTied() {
  const char name[] = "oai_relu_tied";
  ReluRecipe recipe = RecipeFor(Fixture(name), OpenAiRelu, "l1_weight");
  recipe.objective.tied = true;
  return CaseOf(name, kOpenAiTied, recipe, {{"mse", "normalized_mse"}, {"sparsity", "normalized_l1"}});
}

FixtureCase CunninghamCase(const char* name, bool tied) {
  const Fixture fixture(name);
  UnitDictionaryRecipe recipe = Cunningham(fixture.input_dim(), fixture.feature_count());
  recipe.objective.l1_coefficient = fixture.hyper()["l1_alpha"];
  // The tied autoencoder's loss leaves the decay of the bias out.
  if (!tied) recipe.objective.bias_decay = fixture.hyper()["bias_decay"];
  recipe.objective.tied = tied;
  recipe.loop.schedule.peak = fixture.hyper()["lr"];
  return {name,
          tied ? kCunninghamTied : With(kCunninghamTied, {kDecoder, "decoder", false}),
          std::make_shared<UnitDictionaryObjective>(recipe.objective),
          recipe.loop,
          {{"mse", "l_reconstruction"}}};
}
FixtureCase CunninghamTied() { return CunninghamCase("cunningham_tied", true); }
FixtureCase CunninghamUntied() { return CunninghamCase("cunningham_untied", false); }

FixtureCase GhostGradients() {
  const char name[] = "ghost_grads";
  const Fixture fixture(name);
  GhostGradientRecipe recipe = TranscoderCircuitsGhost(fixture.input_dim(), fixture.feature_count());
  recipe.objective.l1_coefficient = fixture.hyper()["l1_coefficient"];
  recipe.loop.schedule.peak = fixture.hyper()["lr"];
  recipe.loop.schedule.warmup_steps = 0;
  recipe.loop.constraint = {};
  FixtureCase result{name,
                     kSaeLens,
                     std::make_shared<GhostGradientObjective>(recipe.objective),
                     recipe.loop,
                     {{"mse", "mse_loss"}, {"ghost", "mse_loss_ghost_resid"}}};
  result.holds_initial_state = true;
  result.initial_state = {{kSinceFired, fixture.file().Read("in/dead_mask").to(at::kLong) * 100'000}};
  return result;
}

INSTANTIATE_TEST_SUITE_P(Relu, TrainingFixture,
                         Fixtures({{"dl_standard_l1", DlStandard},
                                   {"dl_standard_april_l1_wdec", DlApril},
                                   {"dl_lp_sqrt_p0.5", DlSquareRoot},
                                   {"dl_p_anneal", DlPAnneal},
                                   {"sl_standard_l1", SlStandard},
                                   {"sl_standard_p0.5norm", SlNorm},
                                   {"aisf_standard_l1", Aisf},
                                   {"bb_vanilla_l1", BatchTopKAuthors},
                                   {"oai_relu", OpenAi},
                                   {"oai_relu_tied", OpenAiTied},
                                   {"cunningham_tied", CunninghamTied},
                                   {"cunningham_untied", CunninghamUntied},
                                   {"ghost_grads", GhostGradients}}),
                         FixtureName);

}  // namespace
}  // namespace lifescope
