#include "server/dictionary/training/straight_through.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "server/dictionary/training/l0_penalty.h"

namespace lifescope {
namespace {

// Thresholds 1 and 2, bandwidth 0.5: entries far below, in the lower half of the kernel, in its upper half, far above.
const std::vector<double> kValues{0.5, 1.6, 0.8, 1.8, 1.2, 2.2, 1.5, 3};

struct Leaves {
  at::Tensor z = at::tensor(kValues, at::kDouble).view({4, 2}).requires_grad_(true);
  at::Tensor threshold = at::tensor({1.0, 2.0}, at::kDouble).requires_grad_(true);
};

TEST(StraightThrough, JumpReluHasTheKernelsDerivative) {
  for (const bool kernel_on_input : {false, true}) {
    const Leaves leaves;
    const at::Tensor acts = JumpRelu(leaves.z, leaves.threshold, 0.5, kernel_on_input);
    EXPECT_TRUE(at::equal(acts, at::tensor({0.0, 0.0, 0.0, 0.0, 1.2, 2.2, 1.5, 3.0}, at::kDouble).view({4, 2})));
    acts.sum().backward();
    // Two entries of each feature in the kernel: -2 threshold / bandwidth.
    EXPECT_TRUE(at::allclose(leaves.threshold.grad(), at::tensor({-4.0, -8.0}, at::kDouble)));
    const at::Tensor open = at::tensor({0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0}, at::kDouble).view({4, 2});
    const at::Tensor near = at::tensor({0.0, 0.0, 2.0, 4.0, 2.0, 4.0, 0.0, 0.0}, at::kDouble).view({4, 2});
    EXPECT_TRUE(at::allclose(leaves.z.grad(), kernel_on_input ? open + near : open));
  }
}

TEST(StraightThrough, StepHasTheKernelsDerivativeByTheThresholdAlone) {
  const Leaves leaves;
  const at::Tensor step = JumpStep(leaves.z, leaves.threshold, 0.5);
  EXPECT_EQ(step.sum().item<double>(), 4);
  step.sum().backward();
  EXPECT_TRUE(at::allclose(leaves.threshold.grad(), at::tensor({-4.0, -4.0}, at::kDouble)));
  EXPECT_FALSE(leaves.z.grad().defined());
}

TEST(L0Penalty, GradientIsThatOfTheValue) {
  for (const auto shape :
       {L0Penalty::Shape::kLinear, L0Penalty::Shape::kQuadraticTarget, L0Penalty::Shape::kFrequencyQuadratic}) {
    const L0Penalty penalty{shape, /*target_l0=*/0.5, /*frequency_scale=*/0.1};
    const at::Tensor rates = at::tensor({0.0, 0.05, 0.7}, at::kDouble).requires_grad_(true);
    L0PenaltyOf(penalty, rates).backward();
    EXPECT_TRUE(at::allclose(L0PenaltyGradient(penalty, rates.detach()), rates.grad()));
  }
}

TEST(L0Penalty, ValuesByHand) {
  const at::Tensor rates = at::tensor({0.1, 0.2}, at::kDouble);
  EXPECT_NEAR(L0PenaltyOf({L0Penalty::Shape::kLinear}, rates).item<double>(), 0.3, 1e-15);
  EXPECT_NEAR(L0PenaltyOf({L0Penalty::Shape::kQuadraticTarget, 0.1}, rates).item<double>(), 4, 1e-13);
  // 0.1 (1 + 1) + 0.2 (1 + 2).
  EXPECT_NEAR(L0PenaltyOf({L0Penalty::Shape::kFrequencyQuadratic, 20, 0.1}, rates).item<double>(), 0.8, 1e-13);
  EXPECT_THROW(CheckL0Penalty({L0Penalty::Shape::kQuadraticTarget, 0}), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
