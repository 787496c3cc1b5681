#include "server/dictionary/baselines/matched_l1.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>

#include "server/dictionary/sparse_codes.h"

namespace lifescope {

double MatchedL1(const at::Tensor& rows, const at::Tensor& directions, double k, int64_t iterations) {
  constexpr int kMostHalvings = 30;
  constexpr double kCloseEnough = 0.01;
  TORCH_CHECK_VALUE(k > 0, "k is ", k, ", expected above 0");
  const double largest_eigenvalue = LargestEigenvalue(directions);
  const auto l0_at = [&](double l1) {
    const at::Tensor codes = ShrinkageCodes(rows, directions, largest_eigenvalue, {l1, iterations});
    return static_cast<double>((codes > 0).sum().item<int64_t>()) / static_cast<double>(rows.size(0));
  };
  if (l0_at(0) <= k) return 0;
  // Nothing is active at the largest inner product, and little is lost a million times below it.
  double high = rows.mm(directions.t()).max().item<double>(), low = high * 1e-6;
  double l1 = low;
  for (int i = 0; i < kMostHalvings; ++i) {
    l1 = std::sqrt(low * high);
    const double l0 = l0_at(l1);
    if (std::abs(l0 - k) <= kCloseEnough * k) break;
    (l0 > k ? low : high) = l1;
  }
  return l1;
}

}  // namespace lifescope
