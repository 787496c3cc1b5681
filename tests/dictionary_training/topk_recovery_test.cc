// The trainer finds the directions that made its data.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "server/dictionary/training/topk_recipes.h"
#include "tests/dictionary/random_tensors.h"

namespace lifescope {
namespace {

// Mean over the rows of `truth` of the largest cosine with a row of `learned`.
double MeanMaxCosine(const at::Tensor& truth, const at::Tensor& learned) {
  return truth.mm(learned.t()).amax(1).mean().item<double>();
}

TEST(TopKRecovery, FindsKnownDirections) {
  constexpr int64_t kWidth = 32, kDirections = 64, kRows = 256, kSteps = 500;
  RandomTensors random(21);
  const at::Tensor truth = random.Directions(kDirections, kWidth, at::kFloat);
  TopKRecipe recipe = DictionaryLearningTopK(kWidth, kDirections);
  recipe.objective.selection.k = 3;
  recipe.objective.dead.after = 20 * kRows;
  recipe.loop.schedule.peak = 1e-2;
  recipe.loop.schedule.warmup_steps = 20;
  recipe.loop.schedule.decay_start = 400;
  recipe.loop.schedule.total_steps = kSteps;
  SaeTrainer trainer(std::make_shared<TopKObjective>(recipe.objective), recipe.loop);
  SaeStep last;
  for (int64_t i = 0; i < kSteps; ++i) {
    // Three directions of each row on average.
    const at::Tensor active = random.Uniform({kRows, kDirections}, 0, 1, at::kFloat) < 3.0 / kDirections;
    const at::Tensor rows = (random.Uniform({kRows, kDirections}, 0.5, 1.5, at::kFloat) * active).mm(truth);
    last = trainer.Step({rows, rows});
  }
  const double learned = MeanMaxCosine(truth, trainer.parameters().at(kDecoder));
  const double by_chance = MeanMaxCosine(truth, random.Directions(kDirections, kWidth, at::kFloat));
  RecordProperty("learned", std::to_string(learned));
  RecordProperty("by_chance", std::to_string(by_chance));
  EXPECT_GT(learned, 0.9);
  EXPECT_LT(by_chance, 0.6);
  EXPECT_LT(last.fvu, 0.3);
}

}  // namespace
}  // namespace lifescope
