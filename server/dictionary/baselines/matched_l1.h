#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lifescope {

// The l1 at which the sparse codes (sparse_codes.h) of the rows over the directions have k entries above 0 on average,
// within 1 % of k where there is one, by bisection; 0 when even l1 0 gives no more. Throws c10::ValueError when k is
// not above 0.
double MatchedL1(const at::Tensor& rows, const at::Tensor& directions, double k, int64_t iterations);

}  // namespace lifescope
