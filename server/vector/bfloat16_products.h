// Products of matrices of bfloat16 numbers, with products and sums in float32.
#pragma once

#include <cstdint>

namespace lifescope {

// Whether this machine has instructions for them (AVX512_BF16); without, Bfloat16Products is slow.
bool HasBfloat16Products();

// Rows of the right matrix that lie together.
inline constexpr int64_t kBfloat16Group = 16;

// out[r * count + i] = <left[r], right[i]> for r in [0, rows) and i in [0, count). An int32 holds two neighbouring
// columns, the first in its lower half. left is [rows, pairs]; right is [groups, pairs, 16], where row 16 g + j of the
// matrix is [g, :, j] and rows that are missing in the last group are not read into `out`. Every output is summed in a
// fixed order.
void Bfloat16Products(const int32_t* left, int64_t rows, const int32_t* right, int64_t count, int64_t pairs,
                      float* out);

// The same without those instructions.
void PortableBfloat16Products(const int32_t* left, int64_t rows, const int32_t* right, int64_t count, int64_t pairs,
                              float* out);

}  // namespace lifescope
