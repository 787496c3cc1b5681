// Pre-activations of many features, of which only few are kept: the full matrix [rows, features] never exists. CPU
// only. Every row is worked out by one thread in a fixed order, so results do not depend on the number of threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "server/dictionary/dictionary.h"

namespace lifescope {

// Pre-activations of a row x: <encoder[i], x> + bias[i]. In all of the following, rows [rows, width] and encoder
// [features, width] are contiguous and bias is [features]; the values that come back are pre-activations.

// Of the k largest of each row, those above 0. Equal values go to the lower feature.
SparseActivations EncodeTopK(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias, int64_t k);

// Of the `count` largest of all rows together, those above 0. Equal values go to the earlier row, then the lower
// feature.
SparseActivations EncodeBatchTopK(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias,
                                  int64_t count);

// Those above bound[i]; bound [features].
SparseActivations EncodeAbove(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias,
                              const at::Tensor& bound);

}  // namespace lifescope
