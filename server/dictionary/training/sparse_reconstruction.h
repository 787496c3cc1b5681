// Reconstructions from active entries and their gradients, for the sparse path of an objective. CPU only; independent
// of the number of threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "server/dictionary/dictionary.h"
#include "server/dictionary/training/prefixes.h"

namespace lifescope {

// Where the parts of a loss add their gradients.
struct GradientSums {
  at::Tensor encoder;       // [features, input_dim]
  at::Tensor encoder_bias;  // [features]
  at::Tensor decoder;       // [features, output_dim]
};

// Adds what the gradient by a reconstruction [rows, output_dim] of `active` gives to the decoder and, through active
// values that are <encoder[i], x> + bias[i] of the rows x in `encoder_input`, to the encoder. An undefined
// encoder_input leaves the encoder alone.
void BackpropagateReconstruction(const SparseActivations& active, const at::Tensor& output_gradient,
                                 const at::Tensor& decoder, const at::Tensor& encoder_input, GradientSums& sums);

// What each prefix of the features leaves of `target` [rows, output_dim].
struct NestedErrors {
  std::vector<SparseActivations> parts;  // the entries of a prefix that are not in the one before
  std::vector<at::Tensor> errors;        // [rows, output_dim]; the last one is that of all features
};
NestedErrors ReconstructNested(const SparseActivations& active, const at::Tensor& decoder, const at::Tensor& target,
                               const Prefixes& prefixes);

// Adds the gradients of sum over prefixes of factor * weight * |error|^2 and of `output_gradient`, which is by the
// reconstruction from all features (undefined: none). Returns the gradient by what all reconstructions have in common,
// [rows, output_dim].
at::Tensor BackpropagateNested(const NestedErrors& nested, const Prefixes& prefixes, double factor,
                               const at::Tensor& output_gradient, const at::Tensor& decoder,
                               const at::Tensor& encoder_input, GradientSums& sums);

}  // namespace lifescope
