// The norms of decoder directions as weights of sparsity.
#pragma once

#include <ATen/core/Tensor.h>

namespace lifescope {

// The gradient of sum_i weights[i] * |directions[i]|: [features, width], 0 for a direction of zeros. weights and norms
// [features].
at::Tensor NormGradient(const at::Tensor& directions, const at::Tensor& norms, const at::Tensor& weights);

}  // namespace lifescope
