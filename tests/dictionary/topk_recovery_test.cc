// The trainer finds the directions that made its data.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "server/dictionary/topk_trainer.h"
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
  TopKTrainerOptions options;
  options.activation_dim = kWidth;
  options.feature_count = kDirections;
  options.k = 3;
  options.warmup_steps = 20;
  options.decay_start = 400;
  options.total_steps = kSteps;
  options.dead_after_rows = 20 * kRows;
  options.learning_rate = 1e-2;
  TopKTrainer trainer(options);
  TopKStep last;
  for (int64_t i = 0; i < kSteps; ++i) {
    // Three directions of each row on average.
    const at::Tensor active = random.Uniform({kRows, kDirections}, 0, 1, at::kFloat) < 3.0 / kDirections;
    last = trainer.Step((random.Uniform({kRows, kDirections}, 0.5, 1.5, at::kFloat) * active).mm(truth));
  }
  const double learned = MeanMaxCosine(truth, trainer.Fold(1).tensors.at("W_dec"));
  const double by_chance = MeanMaxCosine(truth, random.Directions(kDirections, kWidth, at::kFloat));
  RecordProperty("learned", std::to_string(learned));
  RecordProperty("by_chance", std::to_string(by_chance));
  EXPECT_GT(learned, 0.9);
  EXPECT_LT(by_chance, 0.6);
  EXPECT_LT(last.fvu, 0.3);
}

}  // namespace
}  // namespace lifescope
