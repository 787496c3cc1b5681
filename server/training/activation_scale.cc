#include "server/training/activation_scale.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>

namespace lifescope {

ActivationScale ParseActivationScale(const std::string& name) {
  if (name == "none") return ActivationScale::kNone;
  if (name == "unit_mean_square") return ActivationScale::kUnitMeanSquare;
  if (name == "sqrt_width") return ActivationScale::kSqrtWidth;
  if (name == "layer_norm") return ActivationScale::kLayerNorm;
  TORCH_CHECK_VALUE(false, "normalisation '", name, "', expected none, unit_mean_square, sqrt_width or layer_norm");
}

double EstimateScale(ActivationScale scale, const at::Tensor& rows) {
  if (scale == ActivationScale::kNone || scale == ActivationScale::kLayerNorm) return 1;
  const at::Tensor squares = rows.to(at::kDouble).square().sum(1);
  const double factor = scale == ActivationScale::kUnitMeanSquare
                            ? 1 / std::sqrt(squares.mean().item<double>())
                            : std::sqrt(static_cast<double>(rows.size(1))) / squares.sqrt().mean().item<double>();
  TORCH_CHECK_VALUE(std::isfinite(factor) && factor > 0,
                    "activations are all zero or not finite: no factor brings them to a norm");
  return factor;
}

at::Tensor ScaleRows(ActivationScale scale, double factor, const at::Tensor& rows) {
  if (scale != ActivationScale::kLayerNorm) return rows * factor;
  const at::Tensor centred = rows - rows.mean(1, /*keepdim=*/true);
  return centred / (centred.std(1, /*unbiased=*/true, /*keepdim=*/true) + 1e-5);
}

}  // namespace lifescope
