// Pre-activations of many features, of which only few are kept: the full matrix [rows, features] never exists. CPU
// only. Every row is worked out by one thread in a fixed order, so results do not depend on the number of threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "server/dictionary/dictionary.h"
#include "server/dictionary/matmul.h"

namespace lifescope {

// Pre-activations of a row x: <encoder[i], x> + bias[i]. In all of the following, rows [rows, width] and encoder
// [features, width] are contiguous and bias is [features]; the values that come back are pre-activations. `matmul`
// kBfloat16 says that rows and encoder are operands of such a product already (Operand): some machines have
// instructions for it, elsewhere it is a product of float32.

// Of the k largest of each row, those above 0. Equal values go to the lower feature.
SparseActivations EncodeTopK(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias, int64_t k,
                             Matmul matmul = Matmul::kFull);

// Of the `count` largest of all rows together, those above 0. Equal values go to the earlier row, then the lower
// feature.
SparseActivations EncodeBatchTopK(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias,
                                  int64_t count, Matmul matmul = Matmul::kFull);

// Those above bound[i]; bound [features].
SparseActivations EncodeAbove(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias,
                              const at::Tensor& bound, Matmul matmul = Matmul::kFull);

}  // namespace lifescope
