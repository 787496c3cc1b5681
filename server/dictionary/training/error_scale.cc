#include "server/dictionary/training/error_scale.h"

#include <ATen/ATen.h>

namespace lifescope {

double SquaredNorm(const at::Tensor& rows) { return rows.square().sum(at::kDouble).item<double>(); }

double FactorOf(ErrorScale scale, const at::Tensor& rows) {
  switch (scale) {
    case ErrorScale::kRows:
      return 1 / static_cast<double>(rows.size(0));
    case ErrorScale::kElements:
      return 1 / static_cast<double>(rows.numel());
    case ErrorScale::kDeviation:
      break;
  }
  return 1 / SquaredNorm(rows - rows.mean(0));
}

}  // namespace lifescope
