#pragma once

#include "server/dictionary/sae.h"

namespace lifescope {

// f = 1[x W_enc + b_gate > 0] * relu(x W_enc exp(r_mag) + b_mag) (Rajamanoharan et al. 2024, arXiv:2404.16014).
class GatedSae final : public Sae {
 public:
  GatedSae(SaeWeights weights, at::Tensor b_gate, at::Tensor b_mag, const at::Tensor& r_mag);
  std::string architecture() const override { return "gated"; }

 private:
  at::Tensor Activate(const at::Tensor& rows) const override;
  at::Tensor b_gate_, b_mag_;  // [feature_count]
  at::Tensor magnitude_;       // exp(r_mag) [feature_count]
};

}  // namespace lifescope
