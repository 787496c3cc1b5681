// Dictionaries whose encoder is a search over the decoder's directions, not a layer.
#pragma once

#include <cstdint>
#include <string>

#include "server/dictionary/sae.h"
#include "server/dictionary/sparse_codes.h"

namespace lifescope {

// f = argmin over f >= 0 of 1/2 |x - b_dec - f W_dec|^2 + l1 sum f, by `iterations` of restarted FISTA: non-negative
// sparse coding (Yun et al. 2021, arXiv:2103.15949), and with l1 0 the encoder of a non-negative factorisation.
class SparseCodingDictionary final : public Sae {
 public:
  // directions [feature_count, activation_dim]. Throws c10::ValueError when all of them are zero.
  SparseCodingDictionary(const at::Tensor& directions, at::Tensor b_dec, double l1, int64_t iterations);
  std::string architecture() const override { return "sparse_coding"; }

 private:
  at::Tensor Activate(const at::Tensor& rows) const override;
  const ShrinkageOptions options_;
  const double largest_eigenvalue_;
};

// f of at most k active features by non-negative gradient pursuit (see sparse_codes.h).
class GradientPursuitDictionary final : public Sae {
 public:
  GradientPursuitDictionary(const at::Tensor& directions, at::Tensor b_dec, int64_t k);
  std::string architecture() const override { return "gradient_pursuit"; }

 private:
  at::Tensor Activate(const at::Tensor& rows) const override;
  const int64_t k_;
};

}  // namespace lifescope
