#pragma once

#include <ATen/core/Tensor.h>

namespace lifescope {

// The point with the least sum of distances to the rows of `points` [rows, dim], by Weiszfeld's iteration from the
// mean: at most 100 steps, until a step is shorter than 1e-5.
at::Tensor GeometricMedian(const at::Tensor& points);

}  // namespace lifescope
