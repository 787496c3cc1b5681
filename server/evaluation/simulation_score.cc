#include "server/evaluation/simulation_score.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

namespace lifescope {
namespace {

struct Pairs {
  at::Tensor simulated, truth;  // DOUBLE [n]
};

Pairs ToPairs(const at::Tensor& simulated, const at::Tensor& truth) {
  TORCH_CHECK_VALUE(simulated.sizes() == truth.sizes() && truth.numel() > 0, "simulated: ", simulated.sizes(),
                    ", truth: ", truth.sizes(), ", expected one shape with at least one element");
  return {simulated.to(at::kDouble).flatten(), truth.to(at::kDouble).flatten()};
}

double Mean(const at::Tensor& values) { return values.mean().item<double>(); }

double Covariance(const at::Tensor& a, const at::Tensor& b) { return Mean((a - a.mean()) * (b - b.mean())); }

}  // namespace

SimulationScore ScoreSimulation(const at::Tensor& simulated, const at::Tensor& truth) {
  const auto [s, t] = ToPairs(simulated, truth);
  return {Covariance(s, t) / std::sqrt(Covariance(s, s) * Covariance(t, t)), 1 - Mean((t - s).square()) / Mean(t * t),
          1 - Mean((t - s).abs()) / Mean(t.abs())};
}

at::Tensor ToTenths(const at::Tensor& truth, double maximum) {
  TORCH_CHECK_VALUE(maximum > 0, "maximum: ", maximum, ", expected a positive number");
  return (10 * truth.to(at::kDouble).clamp_min(0) / maximum).floor().clamp_max(10).to(at::kLong);
}

Calibration Calibration::Linear(const at::Tensor& simulated, const at::Tensor& truth) {
  const auto [s, t] = ToPairs(simulated, truth);
  Calibration calibration;
  const double variance = Covariance(s, s);
  calibration.slope_ = variance == 0 ? 0 : Covariance(s, t) / variance;
  calibration.intercept_ = Mean(t) - calibration.slope_ * Mean(s);
  return calibration;
}

Calibration Calibration::Percentile(const at::Tensor& simulated, const at::Tensor& truth) {
  const auto [s, t] = ToPairs(simulated, truth);
  Calibration calibration;
  calibration.sorted_simulated_ = std::get<0>(s.sort());
  calibration.sorted_truth_ = std::get<0>(t.sort());
  return calibration;
}

at::Tensor Calibration::Apply(const at::Tensor& simulated) const {
  const at::Tensor values = simulated.to(at::kDouble).contiguous();
  if (!sorted_simulated_.defined()) return values * slope_ + intercept_;
  const double* x = sorted_simulated_.data_ptr<double>();
  const double* y = sorted_truth_.data_ptr<double>();
  const int64_t count = sorted_simulated_.numel();
  at::Tensor calibrated = at::empty_like(values);
  for (int64_t i = 0; i < values.numel(); ++i) {
    const double value = values.data_ptr<double>()[i];
    // Of equal simulated values the last.
    const int64_t below = std::upper_bound(x, x + count, value) - x - 1;
    double& out = calibrated.data_ptr<double>()[i];
    if (below < 0 || below == count - 1) {
      out = y[below < 0 ? 0 : count - 1];
    } else {
      out = y[below] + (y[below + 1] - y[below]) * (value - x[below]) / (x[below + 1] - x[below]);
    }
  }
  return calibrated;
}

}  // namespace lifescope
