// What every sparse autoencoder here shares: the weights around the activation function, the normalisation of
// its input, and decoding.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/dictionary/dictionary.h"

namespace lifescope {

// What happens to a row x of width d before the encoder, and is undone after the decoder.
enum class Normalisation {
  kNone,
  kConstantNormRescale,  // x * sqrt(d) / |x|
  kLayerNorm,            // (x - mean) / (std + 1e-5), std unbiased; undone by * std + mean
};

struct SaeWeights {
  at::Tensor w_enc;  // [activation_dim, feature_count]
  at::Tensor w_dec;  // [feature_count, output_dim]
  at::Tensor b_dec;  // [output_dim]
  // Whether the encoder sees x - b_dec.
  bool apply_b_dec_to_input = true;
  Normalisation normalisation = Normalisation::kNone;
  // [output_dim, activation_dim]: a skip transcoder adds x w_skip^T to what it decodes. Undefined: not there.
  at::Tensor w_skip = {};
};

// A variant adds its own weights and its activation function.
class Sae : public Dictionary {
 public:
  int64_t activation_dim() const override { return weights_.w_enc.size(0); }
  int64_t output_dim() const override { return weights_.w_dec.size(1); }
  int64_t feature_count() const override { return weights_.w_enc.size(1); }
  at::Tensor Encode(const at::Tensor& x) const override;
  at::Tensor Decode(const at::Tensor& feature_activations, const at::Tensor& x) const override;
  at::Tensor DecodeChange(const at::Tensor& change, const std::vector<int64_t>& features,
                          const at::Tensor& x) const override;
  at::Tensor DecoderDirections() const override { return weights_.w_dec; }
  at::ScalarType dtype() const override { return weights_.w_enc.scalar_type(); }
  at::Device device() const override { return weights_.w_enc.device(); }

 protected:
  explicit Sae(SaeWeights weights) : weights_(std::move(weights)) {}

  // Feature activations of rows that are normalised and centred.
  virtual at::Tensor Activate(const at::Tensor& rows) const = 0;
  const at::Tensor& w_enc() const { return weights_.w_enc; }

 private:
  // Per row: x' = (x - mean) / divisor on the way in, y * scale + mean on the way out. Undefined: not there.
  struct RowStatistics {
    at::Tensor mean, divisor, scale;
  };
  RowStatistics StatisticsOf(const at::Tensor& x) const;
  void CheckRows(const char* name, const at::Tensor& rows, int64_t width) const;

  SaeWeights weights_;
};

}  // namespace lifescope
