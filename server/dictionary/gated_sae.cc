#include "server/dictionary/gated_sae.h"

#include <ATen/ATen.h>

namespace lifescope {

GatedSae::GatedSae(SaeWeights weights, at::Tensor b_gate, at::Tensor b_mag, const at::Tensor& r_mag)
    : Sae(std::move(weights)), b_gate_(std::move(b_gate)), b_mag_(std::move(b_mag)), magnitude_(r_mag.exp()) {}

at::Tensor GatedSae::Activate(const at::Tensor& rows) const {
  // Both encoders are the same matrix up to a factor per feature: one product serves them.
  const at::Tensor product = at::mm(rows, w_enc());
  const at::Tensor closed = product + b_gate_ <= 0;
  return (product * magnitude_ + b_mag_).relu_().masked_fill(closed, 0);
}

}  // namespace lifescope
