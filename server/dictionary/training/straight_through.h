// Activation by a jump at a threshold, whose derivative by the threshold is estimated with the rectangle kernel K(u) =
// 1[|u| < 1/2] of width `bandwidth` (Rajamanoharan et al. 2024, arXiv:2407.14435). Plain ATen: the estimates are
// gradients of terms whose value is 0.
#pragma once

#include <ATen/core/Tensor.h>

namespace lifescope {

// Where the jump is open, z > threshold, and where the kernel sees it, |z - threshold| < bandwidth / 2.
struct Jump {
  at::Tensor open, near;  // BOOL, as z
};
Jump JumpAt(const at::Tensor& z, const at::Tensor& threshold, double bandwidth);

// z 1[z > threshold], z [rows, features], threshold [features]. By the threshold: -(threshold / bandwidth) K; by z:
// 1[z > threshold], and with `kernel_on_input` also + (threshold / bandwidth) K.
at::Tensor JumpRelu(const at::Tensor& z, const at::Tensor& threshold, double bandwidth, bool kernel_on_input);

// 1[z > threshold]. By the threshold: -(1 / bandwidth) K; by z: 0.
at::Tensor JumpStep(const at::Tensor& z, const at::Tensor& threshold, double bandwidth);

}  // namespace lifescope
