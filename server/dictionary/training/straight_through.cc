#include "server/dictionary/training/straight_through.h"

#include <ATen/ATen.h>

namespace lifescope {
namespace {

// 0, with the gradient of `tensor`.
at::Tensor GradientOf(const at::Tensor& tensor) { return tensor - tensor.detach(); }

}  // namespace

Jump JumpAt(const at::Tensor& z, const at::Tensor& threshold, double bandwidth) {
  const at::Tensor distance = z.detach() - threshold.detach();
  return {z.detach() > threshold.detach(), (distance / bandwidth).abs() < 0.5};
}

at::Tensor JumpRelu(const at::Tensor& z, const at::Tensor& threshold, double bandwidth, bool kernel_on_input) {
  const Jump jump = JumpAt(z, threshold, bandwidth);
  const at::Tensor height = jump.near * (threshold.detach() / bandwidth);
  const at::Tensor acts = z.masked_fill(~jump.open, 0) - height * GradientOf(threshold);
  return kernel_on_input ? acts + height * GradientOf(z) : acts;
}

at::Tensor JumpStep(const at::Tensor& z, const at::Tensor& threshold, double bandwidth) {
  const Jump jump = JumpAt(z, threshold, bandwidth);
  return jump.open.to(z.scalar_type()) - jump.near.to(z.scalar_type()) / bandwidth * GradientOf(threshold);
}

}  // namespace lifescope
