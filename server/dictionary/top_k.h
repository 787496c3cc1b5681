// The k largest entries of each row.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lifescope {

// `values` [rows, columns] of kFloat or kDouble -> INT64 [rows, k], column indices ascending in each row. On the CPU
// equal values go to the lower column. 0 <= k <= columns. Not differentiable: gather the values by the result.
at::Tensor TopKIndices(const at::Tensor& values, int64_t k);

}  // namespace lifescope
