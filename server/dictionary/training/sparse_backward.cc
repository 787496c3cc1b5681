#include "server/dictionary/training/sparse_backward.h"

namespace lifescope {

at::Tensor BackpropagateDecoding(const SparseActivations& active, const EntriesByFeature& by_feature,
                                 const at::Tensor& output_gradient, const at::Tensor& decoder,
                                 at::Tensor& decoder_gradient) {
  AddTransposedTimesDense(by_feature, active.values, output_gradient, decoder_gradient);
  return DotProducts(active, output_gradient, decoder);
}

void BackpropagateEncoding(const EntriesByFeature& by_feature, const at::Tensor& entry_gradient, const at::Tensor& rows,
                           at::Tensor& encoder_gradient, at::Tensor& bias_gradient) {
  AddTransposedTimesDense(by_feature, entry_gradient, rows, encoder_gradient);
  AddSumsByFeature(by_feature, entry_gradient, bias_gradient);
}

}  // namespace lifescope
