#include "server/dictionary/training/sparse_reconstruction.h"

#include <ATen/ATen.h>

#include "server/dictionary/sparse_rows.h"
#include "server/dictionary/training/sparse_backward.h"

namespace lifescope {

void BackpropagateReconstruction(const SparseActivations& active, const at::Tensor& output_gradient,
                                 const at::Tensor& decoder, const at::Tensor& encoder_input, GradientSums& sums) {
  const EntriesByFeature by_feature = GroupByFeature(active);
  if (!encoder_input.defined()) {
    AddTransposedTimesDense(by_feature, active.values, output_gradient, sums.decoder);
    return;
  }
  const at::Tensor entry_gradient = BackpropagateDecoding(active, by_feature, output_gradient, decoder, sums.decoder);
  BackpropagateEncoding(by_feature, entry_gradient, encoder_input, sums.encoder, sums.encoder_bias);
}

NestedErrors ReconstructNested(const SparseActivations& active, const at::Tensor& decoder, const at::Tensor& target,
                               const Prefixes& prefixes) {
  NestedErrors nested;
  at::Tensor error = target;
  int64_t begin = 0;
  for (const int64_t end : prefixes.widths) {
    nested.parts.push_back(prefixes.widths.size() == 1
                               ? active
                               : KeepEntries(active, (active.features >= begin).logical_and_(active.features < end)));
    error = error - SparseTimesDense(nested.parts.back(), decoder);
    nested.errors.push_back(error);
    begin = end;
  }
  return nested;
}

at::Tensor BackpropagateNested(const NestedErrors& nested, const Prefixes& prefixes, double factor,
                               const at::Tensor& output_gradient, const at::Tensor& decoder,
                               const at::Tensor& encoder_input, GradientSums& sums) {
  // The entries of a part are in its own reconstruction and in those of all longer prefixes.
  at::Tensor gradient = output_gradient;
  for (size_t i = nested.parts.size(); i-- > 0;) {
    const at::Tensor own = nested.errors[i] * (-2 * factor * prefixes.weights[i]);
    gradient = gradient.defined() ? gradient + own : own;
    BackpropagateReconstruction(nested.parts[i], gradient, decoder, encoder_input, sums);
  }
  return gradient;
}

}  // namespace lifescope
