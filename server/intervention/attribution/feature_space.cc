#include "server/intervention/attribution/feature_space.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/autograd.h>

#include <utility>

namespace lifescope {

void CheckDictionary(const RunDictionary& dictionary, const at::Tensor& rows) {
  TORCH_CHECK_VALUE(dictionary.dictionary != nullptr, "dictionary: null, expected one");
  TORCH_CHECK_VALUE(!dictionary.is_transcoder,
                    "dictionary: a transcoder, expected one that reconstructs what it reads");
  const Dictionary& d = *dictionary.dictionary;
  TORCH_CHECK_VALUE(d.activation_dim() == rows.size(1), "dictionary: reads ", d.activation_dim(),
                    " channels, expected ", rows.size(1), ", the width of ", dictionary.hook_point.ToString());
  TORCH_CHECK_VALUE(d.dtype() == rows.scalar_type() && d.device() == rows.device(), "dictionary: ", d.dtype(), " on ",
                    d.device(), ", expected ", rows.scalar_type(), " on ", rows.device(), " as the model");
}

FeatureSpace::FeatureSpace(const Dictionary& dictionary, at::Tensor x)
    : dictionary_(dictionary),
      x_(std::move(x)),
      values_(dictionary.Encode(x_)),
      errors_(x_ - dictionary.Decode(values_, x_)) {}

at::Tensor FeatureSpace::DecodeChange(const at::Tensor& change) const {
  return Decode(change) - Decode(at::zeros_like(change));
}

at::Tensor FeatureSpace::DecodeOne(int64_t row, int64_t feature, const at::Tensor& change) const {
  return dictionary_.DecodeChange(change.view({1, 1}), {feature}, x_.narrow(0, row, 1)).select(0, 0);
}

at::Tensor FeatureSpace::Project(const at::Tensor& gradient) const {
  const c10::AutoGradMode with_gradients(true);
  const at::Tensor leaf = at::zeros_like(values_).requires_grad_(true);
  return torch::autograd::grad({Decode(leaf)}, {leaf}, {gradient})[0];
}

}  // namespace lifescope
