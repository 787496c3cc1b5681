// The factor that activations are multiplied with before a dictionary is trained on them, so that its hyper-parameters
// mean the same at every hook point. It is folded into the weights of what was trained.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace lifescope {

enum class ActivationScale {
  kNone,            // 1
  kUnitMeanSquare,  // 1 / sqrt(mean |x|^2): mean squared norm 1 (dictionary_learning, Gemma Scope)
  kSqrtWidth,       // sqrt(width) / mean |x|: mean norm sqrt(width) (SAELens, Anthropic April 2024)
};

// "none", "unit_mean_square", "sqrt_width". Throws c10::ValueError naming those that there are.
ActivationScale ParseActivationScale(const std::string& name);

// From rows [rows, width]; sums in float64. Throws c10::ValueError when all rows are zero or not finite.
double EstimateScale(ActivationScale scale, const at::Tensor& rows);

}  // namespace lifescope
