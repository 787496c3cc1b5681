#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lifescope {

// [count, width], float64: standard normal from the seed, rows brought to norm 1 unless told otherwise.
at::Tensor RandomDirections(int64_t count, int64_t width, uint64_t seed, bool is_unit_norm = true);

}  // namespace lifescope
