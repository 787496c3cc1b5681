#include "server/dictionary/geometric_median.h"

#include <ATen/ATen.h>

namespace lifescope {

at::Tensor GeometricMedian(const at::Tensor& points) {
  constexpr int kMostSteps = 100;
  constexpr double kShortestStep = 1e-5;
  // A point that lies on the guess would otherwise have infinite weight.
  constexpr double kShortestDistance = 1e-12;
  at::Tensor guess = points.mean(0);
  for (int step = 0; step < kMostSteps; ++step) {
    at::Tensor weights = at::norm(points - guess, 2, 1).clamp_min_(kShortestDistance).reciprocal_();
    weights /= weights.sum();
    const at::Tensor next = points.t().mv(weights);
    const double moved = (next - guess).norm().item<double>();
    guess = next;
    if (moved < kShortestStep) break;
  }
  return guess;
}

}  // namespace lifescope
