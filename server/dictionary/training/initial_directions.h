// Fresh directions, and the checks of widths that every objective shares.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lifescope {

// Throws c10::ValueError unless 1 <= input_dim and 1 <= feature_count < 2^31.
void CheckWidths(int64_t input_dim, int64_t feature_count);

// [rows, width] float64, rows of norm 1 in directions drawn uniformly from `seed`.
at::Tensor RandomUnitRows(int64_t rows, int64_t width, uint64_t seed);

// [count] float64, uniform in -bound to bound, from `seed`.
at::Tensor RandomUniform(int64_t count, double bound, uint64_t seed);

}  // namespace lifescope
