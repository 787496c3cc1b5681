#include "server/dictionary/training/norm_gradient.h"

#include <ATen/ATen.h>

#include <limits>

namespace lifescope {

at::Tensor NormGradient(const at::Tensor& directions, const at::Tensor& norms, const at::Tensor& weights) {
  return directions * (weights / norms.clamp_min(std::numeric_limits<float>::min())).unsqueeze(1);
}

}  // namespace lifescope
