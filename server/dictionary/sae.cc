#include "server/dictionary/sae.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <limits>

namespace lifescope {

void Sae::CheckRows(const char* name, const at::Tensor& rows, int64_t width) const {
  TORCH_CHECK_VALUE(rows.dim() == 2 && rows.size(1) == width, name, " has shape ", rows.sizes(), ", expected [rows, ",
                    width, "]");
  TORCH_CHECK_VALUE(rows.scalar_type() == dtype(), name, " is ", rows.scalar_type(),
                    ", expected the dictionary's dtype ", dtype());
}

Sae::RowStatistics Sae::StatisticsOf(const at::Tensor& x) const {
  RowStatistics statistics;
  switch (weights_.normalisation) {
    case Normalisation::kNone:
      break;
    case Normalisation::kConstantNormRescale:
      statistics.scale = at::norm(x, 2, 1, true) / std::sqrt(static_cast<double>(activation_dim()));
      // A row of zeros stays zero instead of becoming NaN.
      statistics.divisor = statistics.scale.clamp_min(std::numeric_limits<float>::min());
      break;
    case Normalisation::kLayerNorm:
      statistics.mean = x.mean(1, true);
      statistics.scale = (x - statistics.mean).std(1, /*unbiased=*/true, /*keepdim=*/true);
      statistics.divisor = statistics.scale + 1e-5;
      break;
  }
  return statistics;
}

at::Tensor Sae::Encode(const at::Tensor& x) const {
  CheckRows("x", x, activation_dim());
  const RowStatistics statistics = StatisticsOf(x);
  at::Tensor rows = x;
  if (statistics.mean.defined()) rows = rows - statistics.mean;
  if (statistics.divisor.defined()) rows = rows / statistics.divisor;
  if (weights_.apply_b_dec_to_input) rows = rows - weights_.b_dec;
  return Activate(rows);
}

at::Tensor Sae::Decode(const at::Tensor& feature_activations, const at::Tensor& x) const {
  CheckRows("feature_activations", feature_activations, feature_count());
  CheckRows("x", x, activation_dim());
  const RowStatistics statistics = StatisticsOf(x);
  at::Tensor out = at::addmm(weights_.b_dec, feature_activations, weights_.w_dec);
  if (statistics.scale.defined()) out = out * statistics.scale;
  if (statistics.mean.defined()) out = out + statistics.mean;
  if (weights_.w_skip.defined()) out = at::addmm(out, x, weights_.w_skip.t());
  return out;
}

at::Tensor Sae::DecodeChange(const at::Tensor& change, const std::vector<int64_t>& features,
                             const at::Tensor& x) const {
  CheckRows("change", change, static_cast<int64_t>(features.size()));
  CheckRows("x", x, activation_dim());
  for (const int64_t feature : features) {
    TORCH_CHECK_INDEX(feature >= 0 && feature < feature_count(), "feature ", feature, " is not in [0, ",
                      feature_count(), ")");
  }
  const at::Tensor chosen = at::tensor(features, at::kLong).to(device());
  const at::Tensor out = at::mm(change, weights_.w_dec.index_select(0, chosen));
  // The decoder is linear, so b_dec, the mean and the skip cancel; only the scale of the row is left.
  const RowStatistics statistics = StatisticsOf(x);
  return statistics.scale.defined() ? out * statistics.scale : out;
}

}  // namespace lifescope
