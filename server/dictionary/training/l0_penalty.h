// Penalties on how often features fire: functions of the rates, the shares of the batch's rows in which each is active.
#pragma once

#include <ATen/core/Tensor.h>

namespace lifescope {

struct L0Penalty {
  enum class Shape {
    // L0, the sum of the rates.
    kLinear,
    // (L0 / target_l0 - 1)^2: holds L0 at a target (dictionary_learning).
    kQuadraticTarget,
    // Sum of rate (1 + rate / frequency_scale): against features that fire nearly always (Google DeepMind's follow-up
    // to JumpReLU).
    kFrequencyQuadratic,
  };
  Shape shape = Shape::kLinear;
  double target_l0 = 20;
  double frequency_scale = 0.1;
};

// Throws c10::ValueError naming the field that is out of range.
void CheckL0Penalty(const L0Penalty& penalty);

// rates [features] -> scalar, differentiable.
at::Tensor L0PenaltyOf(const L0Penalty& penalty, const at::Tensor& rates);

// Its gradient by the rates, [features].
at::Tensor L0PenaltyGradient(const L0Penalty& penalty, const at::Tensor& rates);

}  // namespace lifescope
