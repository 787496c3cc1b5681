#pragma once

#include "server/dictionary/sae.h"

namespace lifescope {

// f = relu(x W_enc + b_enc) (Bricken et al. 2023, "Towards Monosemanticity").
class StandardSae final : public Sae {
 public:
  StandardSae(SaeWeights weights, at::Tensor b_enc) : Sae(std::move(weights)), b_enc_(std::move(b_enc)) {}
  std::string architecture() const override { return "standard"; }

 private:
  at::Tensor Activate(const at::Tensor& rows) const override;
  at::Tensor b_enc_;  // [feature_count]
};

}  // namespace lifescope
