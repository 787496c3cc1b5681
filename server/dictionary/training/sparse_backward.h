// Gradients through encoder and decoder from the active entries alone: what every sparse Evaluate shares. CPU only;
// independent of the number of threads.
#pragma once

#include <ATen/core/Tensor.h>

#include "server/dictionary/dictionary.h"
#include "server/dictionary/sparse_rows.h"

namespace lifescope {

// Through a decoding, whose output's gradient is `output_gradient` [rows, output_dim]: adds to decoder_gradient
// [features, output_dim], and returns the gradient of each active value.
at::Tensor BackpropagateDecoding(const SparseActivations& active, const EntriesByFeature& by_feature,
                                 const at::Tensor& output_gradient, const at::Tensor& decoder,
                                 at::Tensor& decoder_gradient);

// Through pre-activations <encoder[i], x> + bias[i] of the active entries, whose gradients are `entry_gradient`
// [active]: adds to encoder_gradient [features, input_dim] and bias_gradient [features]; `rows` are the x.
void BackpropagateEncoding(const EntriesByFeature& by_feature, const at::Tensor& entry_gradient, const at::Tensor& rows,
                           at::Tensor& encoder_gradient, at::Tensor& bias_gradient);

}  // namespace lifescope
