// The loss of a TopK sparse autoencoder with AuxK, and its gradient by hand. Only active features are touched after
// the encoder: no dense product of activations and decoder is made.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "server/dictionary/topk_trainer.h"

namespace lifescope {

// Contiguous, one dtype, on the CPU.
struct TopKParameters {
  at::Tensor w_enc;  // [features, width]
  at::Tensor b_enc;  // [features]
  at::Tensor w_dec;  // [features, width]
  at::Tensor b_dec;  // [width]
};

// loss = mean over rows |x - x'|^2 + auxk_alpha * auxiliary, where x' = relu(k largest of (x - b_dec) w_enc^T + b_enc)
// w_dec + b_dec. auxiliary: with e = x - x' held constant, a second decoding e' of the k_aux largest activations among
// dead features: sum |e - e'|^2 / sum |e - mean e|^2 (0 when nothing is dead or e is constant).
struct TopKObjective {
  int64_t k;
  int64_t k_aux;
  double auxk_alpha;
  int64_t dead_after_rows;
};

struct TopKGradient {
  TopKStep result;
  TopKParameters parameters;    // the gradient of the loss by each
  at::Tensor rows_since_fired;  // INT64 [features], after these rows
};

// `x` [rows, width], contiguous. A feature is dead when it has not been active in this batch and at least
// `dead_after_rows` rows have passed since it was, this batch included.
TopKGradient ComputeTopKGradient(const TopKParameters& parameters, const TopKObjective& objective, const at::Tensor& x,
                                 const at::Tensor& rows_since_fired);

}  // namespace lifescope
