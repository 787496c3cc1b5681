#pragma once

#include <cstdint>

#include "server/dictionary/sae.h"

namespace lifescope {

// Features fall into k runs of feature_count / k; of each run the largest pre-activation is active, where it is above 0
// (sparsify's GroupMax). Equal values go to the lower feature.
class GroupMaxSae final : public Sae {
 public:
  GroupMaxSae(SaeWeights weights, at::Tensor b_enc, int64_t k)
      : Sae(std::move(weights)), b_enc_(std::move(b_enc)), k_(k) {}
  std::string architecture() const override { return "groupmax"; }

 private:
  at::Tensor Activate(const at::Tensor& rows) const override;
  at::Tensor b_enc_;  // [feature_count]
  int64_t k_;
};

}  // namespace lifescope
