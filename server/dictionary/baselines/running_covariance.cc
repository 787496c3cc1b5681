#include "server/dictionary/baselines/running_covariance.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <tuple>

namespace lifescope {

void RunningCovariance::Add(const at::Tensor& rows) {
  TORCH_CHECK_VALUE(rows.dim() == 2 && rows.size(0) > 0 && (row_count_ == 0 || rows.size(1) == mean_.size(0)),
                    "rows have shape ", rows.sizes(), ", expected [at least 1, the width of the first rows]");
  const at::Tensor x = rows.to(at::kCPU, at::kDouble);
  const at::Tensor mean = x.mean(0);
  const at::Tensor centred = x - mean;
  const at::Tensor scatter = centred.t().mm(centred);
  if (row_count_ == 0) {
    mean_ = mean;
    scatter_ = scatter;
  } else {
    const auto before = static_cast<double>(row_count_), added = static_cast<double>(x.size(0));
    const at::Tensor shift = mean - mean_;
    scatter_ += scatter + at::outer(shift, shift) * (before * added / (before + added));
    mean_ = mean_ + shift * (added / (before + added));
  }
  row_count_ += x.size(0);
}

at::Tensor RunningCovariance::covariance() const {
  TORCH_CHECK_VALUE(row_count_ > 0, "covariance of no rows, expected at least 1");
  return scatter_ / static_cast<double>(row_count_);
}

PrincipalDirections PrincipalDirectionsOf(const at::Tensor& covariance) {
  TORCH_CHECK_VALUE(covariance.dim() == 2 && covariance.size(0) == covariance.size(1), "covariance has shape ",
                    covariance.sizes(), ", expected [width, width]");
  const auto [ascending, vectors] = at::linalg_eigh(covariance);
  at::Tensor directions = vectors.t().flip(0);
  const at::Tensor largest = directions.gather(1, directions.abs().argmax(1, true));
  return {ascending.flip(0), directions * largest.sign()};
}

}  // namespace lifescope
