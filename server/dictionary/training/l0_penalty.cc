#include "server/dictionary/training/l0_penalty.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

namespace lifescope {

void CheckL0Penalty(const L0Penalty& penalty) {
  TORCH_CHECK_VALUE(penalty.target_l0 > 0, "target_l0 is ", penalty.target_l0, ", expected above 0");
  TORCH_CHECK_VALUE(penalty.frequency_scale > 0, "frequency_scale is ", penalty.frequency_scale, ", expected above 0");
}

at::Tensor L0PenaltyOf(const L0Penalty& penalty, const at::Tensor& rates) {
  switch (penalty.shape) {
    case L0Penalty::Shape::kQuadraticTarget:
      return (rates.sum() / penalty.target_l0 - 1).square();
    case L0Penalty::Shape::kFrequencyQuadratic:
      return (rates * (1 + rates / penalty.frequency_scale)).sum();
    case L0Penalty::Shape::kLinear:
      break;
  }
  return rates.sum();
}

at::Tensor L0PenaltyGradient(const L0Penalty& penalty, const at::Tensor& rates) {
  switch (penalty.shape) {
    case L0Penalty::Shape::kQuadraticTarget:
      return ((rates.sum() / penalty.target_l0 - 1) * (2 / penalty.target_l0)).expand_as(rates);
    case L0Penalty::Shape::kFrequencyQuadratic:
      return 1 + rates * (2 / penalty.frequency_scale);
    case L0Penalty::Shape::kLinear:
      break;
  }
  return at::ones_like(rates);
}

}  // namespace lifescope
