#include "server/dictionary/training/relu_recipes.h"

#include <cmath>

namespace lifescope {
namespace {

constexpr DecoderConstraint kUnitAfterUpdate{DecoderConstraint::Normalise::kAfterUpdate, 0, true, 0};

ReluRecipe WithWidths(int64_t input_dim, int64_t feature_count) {
  ReluRecipe recipe;
  recipe.objective.input_dim = input_dim;
  recipe.objective.feature_count = feature_count;
  return recipe;
}

// What the three trainers of dictionary_learning have in common.
ReluRecipe DictionaryLearning(int64_t input_dim, int64_t feature_count) {
  ReluRecipe recipe = WithWidths(input_dim, feature_count);
  recipe.objective.sparsity_coefficient = 0.1;
  recipe.loop.schedule.peak = 1e-3;
  recipe.loop.schedule.warmup_steps = 1000;
  recipe.loop.sparsity_warmup_steps = 2000;
  return recipe;
}

}  // namespace

ReluRecipe BrickenStandard(int64_t input_dim, int64_t feature_count) {
  ReluRecipe recipe = WithWidths(input_dim, feature_count);
  recipe.objective.starts_at_median = true;
  recipe.objective.dead = {DeadRule::Unit::kSteps, 12'500, false, true};
  recipe.loop.schedule.peak = 1e-3;
  recipe.loop.constraint = kUnitAfterUpdate;
  recipe.loop.resampling = Resampling{Resampling::Rule::kSquaredLoss, /*every=*/25'000, /*dead_after=*/12'500,
                                      /*times=*/4, /*rows=*/819'200};
  return recipe;
}

ReluRecipe DictionaryLearningStandard(int64_t input_dim, int64_t feature_count) {
  ReluRecipe recipe = DictionaryLearning(input_dim, feature_count);
  recipe.loop.constraint = kUnitAfterUpdate;
  // As torch.nn.Linear starts the biases that the reference leaves alone.
  recipe.objective.initial_bias = 1 / std::sqrt(static_cast<double>(input_dim));
  recipe.loop.resampling = Resampling{Resampling::Rule::kErrorNorm};
  return recipe;
}

ReluRecipe DictionaryLearningApril(int64_t input_dim, int64_t feature_count) {
  ReluRecipe recipe = DictionaryLearning(input_dim, feature_count);
  recipe.objective.weight_by_decoder_norm = true;
  recipe.loop.gradient_clip = 1;
  return recipe;
}

ReluRecipe DictionaryLearningPAnneal(int64_t input_dim, int64_t feature_count) {
  ReluRecipe recipe = DictionaryLearningStandard(input_dim, feature_count);
  recipe.objective.annealing = {/*updates=*/10, /*start=*/15'000, /*end=*/30'000};
  // The reference's resampling writes to copies here, and does nothing.
  recipe.loop.resampling.reset();
  return recipe;
}

ReluRecipe SaeLensStandard(int64_t input_dim, int64_t feature_count) {
  ReluRecipe recipe = WithWidths(input_dim, feature_count);
  recipe.objective.sparsity_coefficient = 1;
  recipe.objective.penalty.form = SparsityPenalty::Form::kNorm;
  recipe.objective.weight_by_decoder_norm = true;
  recipe.objective.dead = {DeadRule::Unit::kSteps, 1000, false, false};
  recipe.loop.schedule.peak = 3e-4;
  recipe.loop.gradient_clip = 1;
  return recipe;
}

ReluRecipe AnthropicTanh(int64_t input_dim, int64_t feature_count) {
  ReluRecipe recipe = DictionaryLearningApril(input_dim, feature_count);
  recipe.objective.penalty.form = SparsityPenalty::Form::kTanh;
  return recipe;
}

ReluRecipe AiSafetyFoundation(int64_t input_dim, int64_t feature_count) {
  ReluRecipe recipe = WithWidths(input_dim, feature_count);
  recipe.objective.sparsity_coefficient = 1e-3;
  recipe.objective.scale = LossScale::kMean;
  recipe.loop.schedule.peak = 1e-3;
  recipe.loop.constraint = kUnitAfterUpdate;
  recipe.loop.resampling = BrickenStandard(input_dim, feature_count).loop.resampling;
  recipe.loop.resampling->every = 0;
  return recipe;
}

ReluRecipe BatchTopKVanilla(int64_t input_dim, int64_t feature_count) {
  ReluRecipe recipe = WithWidths(input_dim, feature_count);
  recipe.objective.sparsity_coefficient = 0;
  recipe.objective.scale = LossScale::kMean;
  recipe.objective.dead = {DeadRule::Unit::kSteps, 5, false, true};
  recipe.loop.schedule.peak = 3e-4;
  recipe.loop.adam.beta2 = 0.99;
  recipe.loop.gradient_clip = 1e5;
  recipe.loop.constraint = {DecoderConstraint::Normalise::kBeforeUpdate, 0, true, 0};
  return recipe;
}

ReluRecipe OpenAiRelu(int64_t input_dim, int64_t feature_count) {
  ReluRecipe recipe = WithWidths(input_dim, feature_count);
  recipe.objective.sparsity_coefficient = 0;
  recipe.objective.scale = LossScale::kRelative;
  recipe.loop.schedule.peak = 1e-4;
  return recipe;
}

ReluRecipe OpenAiReluTied(int64_t input_dim, int64_t feature_count) {
  ReluRecipe recipe = OpenAiRelu(input_dim, feature_count);
  recipe.objective.tied = true;
  return recipe;
}

UnitDictionaryRecipe Cunningham(int64_t input_dim, int64_t feature_count) {
  UnitDictionaryRecipe recipe;
  recipe.objective.input_dim = input_dim;
  recipe.objective.feature_count = feature_count;
  recipe.objective.l1_coefficient = 1e-3;
  recipe.loop.schedule.peak = 1e-3;
  return recipe;
}

UnitDictionaryRecipe CunninghamTied(int64_t input_dim, int64_t feature_count) {
  UnitDictionaryRecipe recipe = Cunningham(input_dim, feature_count);
  recipe.objective.tied = true;
  return recipe;
}

GhostGradientRecipe TranscoderCircuitsGhost(int64_t input_dim, int64_t feature_count) {
  GhostGradientRecipe recipe;
  recipe.objective.input_dim = input_dim;
  recipe.objective.feature_count = feature_count;
  recipe.objective.l1_coefficient = 1.4e-4;
  recipe.loop.schedule.peak = 4e-4;
  recipe.loop.schedule.warmup_steps = 5000;
  recipe.loop.constraint = kUnitAfterUpdate;
  return recipe;
}

GhostGradientRecipe TranscoderCircuitsTranscoder(int64_t input_dim, int64_t output_dim, int64_t feature_count) {
  GhostGradientRecipe recipe = TranscoderCircuitsGhost(input_dim, feature_count);
  recipe.objective.output_dim = output_dim;
  return recipe;
}

}  // namespace lifescope
