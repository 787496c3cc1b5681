#pragma once

#include <cstdint>

#include "server/dictionary/sae.h"

namespace lifescope {

// f = relu(k largest of x W_enc + b_enc) (Gao et al. 2024, arXiv:2406.04093). At most k features of a row are
// active: of the k largest, only those above 0 are.
class TopKSae final : public Sae {
 public:
  TopKSae(SaeWeights weights, at::Tensor b_enc, int64_t k) : Sae(std::move(weights)), b_enc_(std::move(b_enc)), k_(k) {}
  std::string architecture() const override { return "topk"; }

 private:
  at::Tensor Activate(const at::Tensor& rows) const override;
  at::Tensor b_enc_;  // [feature_count]
  int64_t k_;
};

}  // namespace lifescope
