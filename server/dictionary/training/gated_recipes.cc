#include "server/dictionary/training/gated_recipes.h"

namespace lifescope {

GatedRecipe DictionaryLearningGated(int64_t input_dim, int64_t feature_count) {
  GatedRecipe recipe;
  recipe.objective.input_dim = input_dim;
  recipe.objective.feature_count = feature_count;
  recipe.loop.schedule.peak = 5e-5;
  recipe.loop.schedule.warmup_steps = 1000;
  recipe.loop.adam.beta1 = 0;
  recipe.loop.sparsity_warmup_steps = 2000;
  recipe.loop.constraint = {DecoderConstraint::Normalise::kAfterUpdate, 0, true, 0};
  return recipe;
}

GatedRecipe DictionaryLearningGatedAnneal(int64_t input_dim, int64_t feature_count, int64_t total_steps) {
  GatedRecipe recipe = DictionaryLearningGated(input_dim, feature_count);
  recipe.objective.annealing = {/*updates=*/10, /*start=*/15'000, /*end=*/total_steps};
  recipe.loop.schedule.peak = 3e-4;
  return recipe;
}

GatedRecipe SaeLensGated(int64_t input_dim, int64_t feature_count) {
  GatedRecipe recipe;
  recipe.objective.input_dim = input_dim;
  recipe.objective.feature_count = feature_count;
  recipe.objective.sparsity_coefficient = 1;
  recipe.objective.weight_by_decoder_norm = true;
  recipe.objective.auxiliary_decoder_is_frozen = false;
  recipe.objective.dead = {DeadRule::Unit::kSteps, 1000, false, false};
  recipe.loop.schedule.peak = 3e-4;
  recipe.loop.gradient_clip = 1;
  return recipe;
}

}  // namespace lifescope
