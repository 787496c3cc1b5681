// Trainings find the directions that made their data. tests/bench/toy_recovery_bench.cc measures it against the
// references.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "server/dictionary/training/relu_recipes.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/support/toy_superposition.h"

namespace lifescope {
namespace {

double MeanMaxCosine(const at::Tensor& truth, const at::Tensor& learned) {
  return truth.mm(learned.t()).amax(1).mean().item<double>();
}

TEST(ReluRecovery, FindsKnownDirections) {
  constexpr int64_t kWidth = 16, kDirections = 24, kFeatures = 48, kSteps = 1500;
  RandomTensors random(3);
  const at::Tensor truth = random.Directions(kDirections, kWidth, at::kFloat);
  ToySuperpositionOptions data;
  data.mean_active = 1.5;
  ToySuperposition toy(truth, data, 4);
  ReluRecipe recipe = DictionaryLearningStandard(kWidth, kFeatures);
  recipe.objective.sparsity_coefficient = 0.2;
  recipe.loop.schedule = {5e-3, kSteps / 10, kSteps * 4 / 5, kSteps};
  recipe.loop.sparsity_warmup_steps = kSteps / 5;
  SaeTrainer trainer(std::make_shared<ReluObjective>(recipe.objective), recipe.loop);
  SaeStep last;
  for (int64_t step = 0; step < kSteps; ++step) {
    const at::Tensor rows = toy.Rows(256);
    last = trainer.Step({rows, rows});
  }
  const double learned = MeanMaxCosine(truth, trainer.parameters().at(kDecoder));
  const double by_chance = MeanMaxCosine(truth, random.Directions(kFeatures, kWidth, at::kFloat));
  RecordProperty("learned", std::to_string(learned));
  RecordProperty("by_chance", std::to_string(by_chance));
  RecordProperty("fvu", std::to_string(last.fvu));
  EXPECT_GT(learned, 0.95);
  EXPECT_LT(by_chance, 0.75);
  EXPECT_LT(last.fvu, 0.2);
}

}  // namespace
}  // namespace lifescope
