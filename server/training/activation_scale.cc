#include "server/training/activation_scale.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>

namespace lifescope {

ActivationScale ParseActivationScale(const std::string& name) {
  if (name == "none") return ActivationScale::kNone;
  if (name == "unit_mean_square") return ActivationScale::kUnitMeanSquare;
  if (name == "sqrt_width") return ActivationScale::kSqrtWidth;
  TORCH_CHECK_VALUE(false, "normalisation '", name, "', expected none, unit_mean_square or sqrt_width");
}

double EstimateScale(ActivationScale scale, const at::Tensor& rows) {
  if (scale == ActivationScale::kNone) return 1;
  const at::Tensor squares = rows.to(at::kDouble).square().sum(1);
  const double factor = scale == ActivationScale::kUnitMeanSquare
                            ? 1 / std::sqrt(squares.mean().item<double>())
                            : std::sqrt(static_cast<double>(rows.size(1))) / squares.sqrt().mean().item<double>();
  TORCH_CHECK_VALUE(std::isfinite(factor) && factor > 0,
                    "activations are all zero or not finite: no factor brings them to a norm");
  return factor;
}

}  // namespace lifescope
