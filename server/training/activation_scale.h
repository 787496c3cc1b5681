// The factor that activations are multiplied with before a dictionary is trained on them, so that its hyper-parameters
// mean the same at every hook point. It is folded into the weights of what was trained, or, where rows are normalised
// each by itself, is something that the dictionary does (Normalisation::kLayerNorm).
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace lifescope {

enum class ActivationScale {
  kNone,            // 1
  kUnitMeanSquare,  // 1 / sqrt(mean |x|^2): mean squared norm 1 (dictionary_learning, Gemma Scope)
  kSqrtWidth,       // sqrt(width) / mean |x|: mean norm sqrt(width) (SAELens, Anthropic April 2024)
  kLayerNorm,       // 1, after each row by itself: less its mean, by its unbiased deviation + 1e-5 (OpenAI)
};

// "none", "unit_mean_square", "sqrt_width", "layer_norm". Throws c10::ValueError naming those that there are.
ActivationScale ParseActivationScale(const std::string& name);

// From rows [rows, width]; sums in float64. Throws c10::ValueError when all rows are zero or not finite.
double EstimateScale(ActivationScale scale, const at::Tensor& rows);

// Rows as a training sees them; `factor` is the estimate.
at::Tensor ScaleRows(ActivationScale scale, double factor, const at::Tensor& rows);

}  // namespace lifescope
