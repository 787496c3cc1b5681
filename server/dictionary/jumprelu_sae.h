#pragma once

#include "server/dictionary/sae.h"

namespace lifescope {

// f = relu(p) * 1[p > threshold], p = x W_enc + b_enc (Rajamanoharan et al. 2024, arXiv:2407.14435). BatchTopK and
// Matryoshka dictionaries are this at inference, with one threshold for all features.
class JumpReluSae final : public Sae {
 public:
  JumpReluSae(SaeWeights weights, at::Tensor b_enc, at::Tensor threshold)
      : Sae(std::move(weights)), b_enc_(std::move(b_enc)), threshold_(std::move(threshold)) {}
  std::string architecture() const override { return "jumprelu"; }

 private:
  at::Tensor Activate(const at::Tensor& rows) const override;
  at::Tensor b_enc_, threshold_;  // [feature_count]
};

}  // namespace lifescope
