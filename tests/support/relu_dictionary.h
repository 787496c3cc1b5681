// A dictionary for tests: f = relu(x W_enc + b_enc), reconstruction f W_dec + b_dec.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "server/dictionary/dictionary.h"

namespace lifescope {

class ReluDictionary : public Dictionary {
 public:
  // Weights from `seed`.
  ReluDictionary(int64_t activation_dim, int64_t feature_count, at::ScalarType dtype, uint64_t seed) {
    at::manual_seed(seed);
    const auto draw = [&](at::IntArrayRef shape) { return at::randn(shape, at::kDouble).to(dtype); };
    w_enc = draw({activation_dim, feature_count});
    b_enc = draw({feature_count}) * 0.1;
    w_dec = draw({feature_count, activation_dim}) * 0.1;
    b_dec = draw({activation_dim}) * 0.1;
  }

  int64_t activation_dim() const override { return w_enc.size(0); }
  int64_t feature_count() const override { return w_enc.size(1); }
  std::string architecture() const override { return "standard"; }
  at::Tensor Encode(const at::Tensor& x) const override { return (x.matmul(w_enc) + b_enc).relu(); }
  at::Tensor Decode(const at::Tensor& f, const at::Tensor&) const override { return f.matmul(w_dec) + b_dec; }
  at::Tensor DecodeChange(const at::Tensor& change, const std::vector<int64_t>& features,
                          const at::Tensor&) const override {
    return change.matmul(w_dec.index_select(0, at::tensor(features, at::kLong)));
  }
  at::Tensor DecoderDirections() const override { return w_dec; }
  at::ScalarType dtype() const override { return w_enc.scalar_type(); }
  at::Device device() const override { return w_enc.device(); }

  at::Tensor w_enc, b_enc, w_dec, b_dec;
};

}  // namespace lifescope
