#include "server/evaluation/peer_metrics.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <limits>

namespace lifescope {

void PeerMetrics::AddBatch(const at::Tensor& x, const at::Tensor& reconstruction) {
  TORCH_CHECK_VALUE(x.dim() == 2 && x.sizes() == reconstruction.sizes(), "reconstruction: ", reconstruction.sizes(),
                    ", expected as the activation, ", x.sizes());
  const at::Tensor a = x.to(at::kCPU, at::kDouble), r = reconstruction.to(at::kCPU, at::kDouble), e = a - r;
  const at::Tensor squared_error = e.square().sum(1);
  const at::Tensor centred = a - a.mean(0);
  const at::Tensor centred_error = e - e.mean(0);
  const auto value = [](const at::Tensor& scalar) { return scalar.item<double>(); };
  const auto rows = static_cast<double>(a.size(0));
  batches_ += 1;
  rows_ += rows;
  squared_error_ += value(squared_error.mean());
  squared_norm_ += value(a.square().sum(1).mean());
  squared_element_ += value(a.square().mean());
  bias_ += value(r.square().sum() / (a * r).sum());
  error_norm_ += value(squared_error.sqrt().mean());
  centred_ratio_ += value(centred_error.square().sum() / centred.square().sum());
  dimension_ratio_ += value((e.square().sum(0) / centred.square().sum(0)).mean());
  error_per_batch_row_ += value(squared_error.sum()) / rows;
  row_ratio_ += value((squared_error / centred.square().sum(1)).sum());
}

std::vector<Measurement> PeerMetrics::Values() const {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  std::vector<Measurement> metrics;
  const auto add = [&](const char* name, double value) {
    metrics.push_back(
        {name, value, kNan, kNan, std::isnan(value) ? "a batch does not vary, or its activations are 0" : ""});
  };
  const double element = squared_element_ / batches_;
  add("sae_lens.mse", error_per_batch_row_ / rows_);
  add("sae_lens.explained_variance", 1 - squared_error_ / batches_ / (squared_norm_ / batches_ - element * element));
  add("sae_lens.explained_variance_legacy", 1 - row_ratio_ / rows_);
  add("sae_lens.relative_reconstruction_bias", bias_ / batches_);
  add("dictionary_learning.l2_loss", error_norm_ / batches_);
  add("dictionary_learning.frac_variance_explained", 1 - centred_ratio_ / batches_);
  add("explained_variance_per_dim_mean", 1 - dimension_ratio_ / batches_);
  return metrics;
}

}  // namespace lifescope
