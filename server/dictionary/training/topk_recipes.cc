#include "server/dictionary/training/topk_recipes.h"

#include <algorithm>
#include <cmath>

namespace lifescope {
namespace {

using Normalise = DecoderConstraint::Normalise;
using Over = TopKSelection::Over;

double ScaledRate(double rate, int64_t feature_count) {
  return rate / std::sqrt(static_cast<double>(feature_count) / (1 << 14));
}

TopKRecipe Sized(int64_t input_dim, int64_t feature_count) {
  TopKRecipe recipe;
  recipe.objective.input_dim = input_dim;
  recipe.objective.feature_count = feature_count;
  return recipe;
}

TopKRecipe Sparsify(int64_t input_dim, int64_t feature_count) {
  TopKRecipe recipe = Sized(input_dim, feature_count);
  TopKOptions& objective = recipe.objective;
  objective.scale = ErrorScale::kDeviation;
  objective.auxk.coefficient = 0;
  objective.auxk.deviation_of_target = true;
  objective.auxk.scale_by_dead_share = true;
  objective.auxk.bias = AuxKOptions::Bias::kAdded;
  objective.auxk.trains_encoder = false;
  objective.multi_topk_trains_encoder = false;
  objective.dead = {DeadRule::Unit::kRows, 10'000'000, false, false};
  objective.bias_start = TopKOptions::BiasStart::kMean;
  objective.selection.anneal_from = static_cast<double>(std::min(10 * input_dim, feature_count));
  objective.selection.anneals_to_nearest = true;
  recipe.loop.schedule.peak = ScaledRate(2e-4, feature_count);
  recipe.loop.schedule.warmup_steps = 1000;
  return recipe;
}

}  // namespace

TopKRecipe DictionaryLearningTopK(int64_t input_dim, int64_t feature_count) {
  TopKRecipe recipe = Sized(input_dim, feature_count);
  recipe.objective.selection.anneal_from = static_cast<double>(std::min(input_dim, feature_count));
  recipe.objective.dead = {DeadRule::Unit::kRows, 10'000'000, true, true};
  recipe.objective.bias_start = TopKOptions::BiasStart::kGeometricMedian;
  recipe.loop.schedule.peak = ScaledRate(2e-4, feature_count);
  recipe.loop.schedule.warmup_steps = 1000;
  recipe.loop.gradient_clip = 1;
  recipe.loop.constraint = {Normalise::kAfterUpdate, DecoderConstraint::kEpsilonOfType, true, 1e-6};
  return recipe;
}

TopKRecipe DictionaryLearningBatchTopK(int64_t input_dim, int64_t feature_count) {
  TopKRecipe recipe = DictionaryLearningTopK(input_dim, feature_count);
  recipe.objective.selection.over = Over::kBatch;
  return recipe;
}

Prefixes DictionaryLearningPrefixes(const std::vector<double>& group_fractions, int64_t feature_count) {
  const auto count = static_cast<double>(group_fractions.size());
  Prefixes prefixes;
  int64_t width = 0;
  for (const double fraction : group_fractions) {
    width += static_cast<int64_t>(fraction * static_cast<double>(feature_count));
    prefixes.widths.push_back(width);
    prefixes.weights.push_back(1 / (count * count));
  }
  if (!prefixes.widths.empty()) prefixes.widths.back() = feature_count;
  return prefixes;
}

TopKRecipe DictionaryLearningMatryoshka(int64_t input_dim, int64_t feature_count) {
  TopKRecipe recipe = DictionaryLearningBatchTopK(input_dim, feature_count);
  recipe.objective.prefixes.fixed =
      DictionaryLearningPrefixes({1.0 / 32, 1.0 / 16, 1.0 / 8, 1.0 / 4, 1.0 / 2 + 1.0 / 32}, feature_count);
  return recipe;
}

TopKRecipe SaeLensTopK(int64_t input_dim, int64_t feature_count) {
  TopKRecipe recipe = Sized(input_dim, feature_count);
  TopKOptions& objective = recipe.objective;
  objective.selection.k = 100;
  objective.selection.by_decoder_norm = true;
  objective.auxk.coefficient = 1;
  objective.auxk.relu = false;
  objective.auxk.scale = ErrorScale::kRows;
  objective.auxk.scale_by_dead_share = true;
  objective.auxk.bias = AuxKOptions::Bias::kAdded;
  objective.dead = {DeadRule::Unit::kSteps, 1000, false, false};
  objective.threshold = {0.99, -1, true};
  objective.initial_norm = 0.1;
  recipe.loop.schedule.peak = 3e-4;
  recipe.loop.gradient_clip = 1;
  return recipe;
}

TopKRecipe SaeLensBatchTopK(int64_t input_dim, int64_t feature_count) {
  TopKRecipe recipe = SaeLensTopK(input_dim, feature_count);
  recipe.objective.selection.over = Over::kBatch;
  return recipe;
}

TopKRecipe SaeLensMatryoshka(int64_t input_dim, int64_t feature_count, const std::vector<int64_t>& widths) {
  TopKRecipe recipe = SaeLensBatchTopK(input_dim, feature_count);
  recipe.objective.prefixes.fixed = {widths, std::vector<double>(widths.size(), 1)};
  return recipe;
}

TopKRecipe BussmannTopK(int64_t input_dim, int64_t feature_count) {
  TopKRecipe recipe = Sized(input_dim, feature_count);
  TopKOptions& objective = recipe.objective;
  objective.has_encoder_bias = false;
  objective.scale = ErrorScale::kElements;
  objective.auxk.k = 512;
  objective.auxk.scale = ErrorScale::kElements;
  objective.auxk.detach_error = false;
  objective.dead = {DeadRule::Unit::kSteps, 5, true, true};
  objective.threshold = {0.99, -1, true};
  recipe.loop.schedule.peak = 3e-4;
  recipe.loop.adam.beta2 = 0.99;
  recipe.loop.gradient_clip = 1e5;
  recipe.loop.constraint = {Normalise::kBeforeUpdate, 0, true, 0};
  return recipe;
}

TopKRecipe BussmannBatchTopK(int64_t input_dim, int64_t feature_count) {
  TopKRecipe recipe = BussmannTopK(input_dim, feature_count);
  recipe.objective.selection.over = Over::kBatch;
  return recipe;
}

TopKRecipe BussmannMatryoshka(int64_t input_dim, int64_t feature_count, const std::vector<int64_t>& widths) {
  TopKRecipe recipe = BussmannBatchTopK(input_dim, feature_count);
  Prefixes& prefixes = recipe.objective.prefixes.fixed;
  prefixes.widths.push_back(0);
  prefixes.widths.insert(prefixes.widths.end(), widths.begin(), widths.end());
  prefixes.weights.assign(prefixes.widths.size(), 1 / static_cast<double>(prefixes.widths.size()));
  return recipe;
}

TopKRecipe NabeshimaMatryoshka(int64_t input_dim, int64_t feature_count) {
  TopKRecipe recipe = BussmannBatchTopK(input_dim, feature_count);
  recipe.objective.prefixes.sampled_count = std::min<int64_t>(10, feature_count);
  return recipe;
}

TopKRecipe OpenAiTopK(int64_t input_dim, int64_t feature_count, double mean_squared_deviation) {
  TopKRecipe recipe = Sized(input_dim, feature_count);
  TopKOptions& objective = recipe.objective;
  objective.scale = ErrorScale::kElements;
  objective.error_factor = 1 / mean_squared_deviation;
  objective.auxk.k = 256;
  objective.auxk.bias = AuxKOptions::Bias::kBothSides;
  objective.dead = {DeadRule::Unit::kRows, 10'000'000, false, true, true};
  objective.fires_above = 1e-3;
  objective.bias_start = TopKOptions::BiasStart::kGeometricMedian;
  objective.rescales_encoder = true;
  recipe.loop.schedule.peak = 1e-4;
  recipe.loop.adam.epsilon = 6.25e-10;
  recipe.loop.average_decay = 0.999;
  recipe.loop.constraint = {Normalise::kBeforeUpdate, 0, true, 0};
  return recipe;
}

TopKRecipe OpenAiTopKByBatch(int64_t input_dim, int64_t feature_count) {
  TopKRecipe recipe = OpenAiTopK(input_dim, feature_count, /*mean_squared_deviation=*/1);
  recipe.objective.scale = ErrorScale::kDeviation;
  return recipe;
}

TopKRecipe SparsifyTopK(int64_t input_dim, int64_t feature_count) {
  TopKRecipe recipe = Sparsify(input_dim, feature_count);
  recipe.loop.constraint = {Normalise::kBeforeForward, DecoderConstraint::kEpsilonOfType, true, 0};
  return recipe;
}

TopKRecipe SparsifyGroupMax(int64_t input_dim, int64_t feature_count) {
  TopKRecipe recipe = SparsifyTopK(input_dim, feature_count);
  recipe.objective.selection.over = Over::kGroups;
  recipe.objective.selection.anneal_from = 0;
  return recipe;
}

TopKRecipe SparsifyTranscoder(int64_t input_dim, int64_t output_dim, int64_t feature_count) {
  TopKRecipe recipe = Sparsify(input_dim, feature_count);
  recipe.objective.output_dim = output_dim;
  return recipe;
}

TopKRecipe SparsifySkipTranscoder(int64_t input_dim, int64_t output_dim, int64_t feature_count) {
  TopKRecipe recipe = SparsifyTranscoder(input_dim, output_dim, feature_count);
  recipe.objective.has_skip = true;
  return recipe;
}

TopKRecipe SparsifySignDescent(int64_t input_dim, int64_t feature_count) {
  TopKRecipe recipe = SparsifyTopK(input_dim, feature_count);
  recipe.loop.optimiser = SaeTrainerOptions::Optimiser::kSignDescent;
  recipe.loop.schedule.peak = ScaledRate(5e-3, feature_count);
  return recipe;
}

}  // namespace lifescope
