#include "server/training/one_cycle.h"

#include <gtest/gtest.h>

namespace lifescope {
namespace {

// Learning rates that PyTorch's OneCycleLR logged in the reference training (golden struct_small/loss.csv), by
// optimiser step from 1.
TEST(OneCycle, LearningRatesAreThoseOfTheReferenceTraining) {
  const OneCycleOptions options{.total_steps = 5000, .max_learning_rate = 5e-3};
  const struct {
    int64_t step;
    double learning_rate;
  } expected[] = {{1, 0.000166667},   {10, 0.00018223},    {40, 0.000453373},  {90, 0.00153674},
                  {100, 0.00181916},  {200, 0.00453487},   {300, 0.00499863},  {500, 0.0049659},
                  {4980, 2.3538e-07}, {4990, 7.13455e-08}, {5000, 1.66667e-08}};
  for (const auto& [step, learning_rate] : expected) {
    EXPECT_NEAR(OneCycle(options, step - 1).learning_rate, learning_rate, 5e-6 * learning_rate) << "step " << step;
  }
}

TEST(OneCycle, BetaFallsToItsLeastAtThePeakAndReturns) {
  const OneCycleOptions options{.total_steps = 1000, .max_learning_rate = 1};
  EXPECT_DOUBLE_EQ(OneCycle(options, 0).beta1, 0.9);
  EXPECT_DOUBLE_EQ(OneCycle(options, 49).beta1, 0.85);
  EXPECT_DOUBLE_EQ(OneCycle(options, 49).learning_rate, 1);
  EXPECT_DOUBLE_EQ(OneCycle(options, 999).beta1, 0.9);
}

TEST(OneCycle, RunsOfAFewStepsHaveAPositiveRate) {
  for (int64_t total = 1; total < 30; ++total) {
    for (int64_t step = 0; step < total; ++step) {
      const OneCyclePoint point = OneCycle({.total_steps = total, .max_learning_rate = 1}, step);
      EXPECT_GT(point.learning_rate, 0) << step << " of " << total;
      EXPECT_LE(point.learning_rate, 1) << step << " of " << total;
    }
  }
}

}  // namespace
}  // namespace lifescope
