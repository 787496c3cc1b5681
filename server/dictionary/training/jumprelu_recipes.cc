#include "server/dictionary/training/jumprelu_recipes.h"

namespace lifescope {
namespace {

using Normalise = DecoderConstraint::Normalise;

JumpReluRecipe OfWidths(int64_t input_dim, int64_t feature_count) {
  JumpReluRecipe recipe;
  recipe.objective.input_dim = input_dim;
  recipe.objective.feature_count = feature_count;
  return recipe;
}

}  // namespace

JumpReluRecipe GemmaScopeJumpRelu(int64_t input_dim, int64_t feature_count) {
  JumpReluRecipe recipe = OfWidths(input_dim, feature_count);
  recipe.objective.sparsity_coefficient = 1e-3;
  recipe.loop.schedule.peak = 7e-5;
  recipe.loop.schedule.warmup_steps = 1000;
  recipe.loop.schedule.warmup_from = 0.1;
  recipe.loop.schedule.warmup = RateSchedule::Warmup::kCosine;
  recipe.loop.adam.beta1 = 0;
  recipe.loop.sparsity_warmup_steps = 10'000;
  recipe.loop.constraint = {Normalise::kAfterUpdate, 0, true, 0};
  return recipe;
}

JumpReluRecipe DeepMindFrequency(int64_t input_dim, int64_t feature_count) {
  JumpReluRecipe recipe = GemmaScopeJumpRelu(input_dim, feature_count);
  recipe.objective.l0_penalty.shape = L0Penalty::Shape::kFrequencyQuadratic;
  return recipe;
}

JumpReluRecipe DictionaryLearningJumpRelu(int64_t input_dim, int64_t feature_count) {
  JumpReluRecipe recipe = OfWidths(input_dim, feature_count);
  recipe.objective.threshold = JumpReluOptions::Threshold::kPlain;
  recipe.objective.l0_penalty.shape = L0Penalty::Shape::kQuadraticTarget;
  recipe.objective.step_sees_activations = true;
  recipe.objective.apply_b_dec_to_input = false;
  recipe.loop.schedule.peak = 7e-5;
  recipe.loop.schedule.warmup_steps = 1000;
  recipe.loop.adam.beta1 = 0;
  recipe.loop.gradient_clip = 1;
  recipe.loop.sparsity_warmup_steps = 2000;
  recipe.loop.constraint = {Normalise::kAfterUpdate, DecoderConstraint::kEpsilonOfType, true, 1e-6};
  return recipe;
}

JumpReluRecipe SaeLensJumpRelu(int64_t input_dim, int64_t feature_count) {
  JumpReluRecipe recipe = OfWidths(input_dim, feature_count);
  recipe.objective.initial_threshold = 0.01;
  recipe.objective.bandwidth = 0.05;
  recipe.objective.initial_decoder_norm = 0.1;
  recipe.objective.dead = {DeadRule::Unit::kSteps, 1000, false, false};
  recipe.loop.schedule.peak = 3e-4;
  recipe.loop.gradient_clip = 1;
  return recipe;
}

JumpReluRecipe SaeLensJumpReluTanh(int64_t input_dim, int64_t feature_count) {
  JumpReluRecipe recipe = SaeLensJumpRelu(input_dim, feature_count);
  recipe.objective.sparsity = JumpReluOptions::Sparsity::kTanh;
  return recipe;
}

JumpReluRecipe AnthropicJumpRelu(int64_t input_dim, int64_t feature_count, int64_t total_steps) {
  JumpReluRecipe recipe = OfWidths(input_dim, feature_count);
  recipe.objective.initial_threshold = 0.1;
  recipe.objective.bandwidth = 2;
  recipe.objective.kernel_on_input = true;
  recipe.objective.sparsity = JumpReluOptions::Sparsity::kTanh;
  recipe.objective.pre_activation_coefficient = 3e-6;
  recipe.objective.pre_activation_of_all = true;
  recipe.objective.apply_b_dec_to_input = false;
  recipe.objective.initial_decoder_norm = 0.1;
  recipe.loop.gradient_clip = 1;
  recipe.loop.sparsity_warmup_steps = total_steps;
  return recipe;
}

JumpReluRecipe BussmannJumpRelu(int64_t input_dim, int64_t feature_count) {
  JumpReluRecipe recipe = OfWidths(input_dim, feature_count);
  recipe.objective.threshold = JumpReluOptions::Threshold::kLogWithoutChainFactor;
  recipe.objective.initial_threshold = 1;
  recipe.objective.rectify_first = true;
  recipe.objective.step_sees_activations = true;
  recipe.objective.error_per_dimension = true;
  recipe.objective.apply_b_dec_to_input = false;
  recipe.objective.dead = {DeadRule::Unit::kSteps, 5, true, false};
  recipe.loop.schedule.peak = 3e-4;
  recipe.loop.adam.beta2 = 0.99;
  recipe.loop.gradient_clip = 1e5;
  recipe.loop.constraint = {Normalise::kBeforeUpdate, 0, true, 0};
  return recipe;
}

}  // namespace lifescope
