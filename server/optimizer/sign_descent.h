#pragma once

#include <ATen/core/Tensor.h>

namespace lifescope {

// One update of `parameter` in place by the sign of its gradient alone: parameter -= learning_rate * sign(gradient).
// Without state; an element whose gradient is 0 rests. Throws c10::ValueError when the shapes differ.
void SignStep(double learning_rate, const at::Tensor& gradient, at::Tensor& parameter);

}  // namespace lifescope
