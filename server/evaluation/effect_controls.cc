#include "server/evaluation/effect_controls.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "server/corpus/random.h"

namespace lifescope {
namespace {

constexpr int64_t kCandidatesPerControl = 4;

}  // namespace

std::vector<int64_t> MatchedFeatures(const std::vector<double>& densities, const std::vector<double>& norms,
                                     int64_t feature, int64_t count, uint64_t seed,
                                     const std::vector<int64_t>& excluded) {
  const auto features = static_cast<int64_t>(densities.size());
  TORCH_CHECK_VALUE(norms.size() == densities.size(), "norms: ", norms.size(), ", expected ", densities.size(),
                    ", one per feature");
  TORCH_CHECK_VALUE(0 <= feature && feature < features, "feature: ", feature, ", expected 0 <= feature < ", features);
  const auto smallest = std::numeric_limits<double>::min();
  const auto distance = [&](int64_t other) {
    return std::hypot(std::log(std::max(densities[other], smallest) / std::max(densities[feature], smallest)),
                      std::log(std::max(norms[other], smallest) / std::max(norms[feature], smallest)));
  };
  std::vector<std::pair<double, int64_t>> candidates;
  for (int64_t other = 0; other < features; ++other) {
    const bool taken = other == feature || std::find(excluded.begin(), excluded.end(), other) != excluded.end();
    if (!taken && densities[other] > 0) candidates.emplace_back(distance(other), other);
  }
  std::sort(candidates.begin(), candidates.end());
  candidates.resize(std::min(candidates.size(), static_cast<size_t>(kCandidatesPerControl * count)));
  Random random(seed);
  random.Shuffle(candidates);
  std::vector<int64_t> chosen;
  for (const auto& [away, other] : candidates) {
    if (static_cast<int64_t>(chosen.size()) < count) chosen.push_back(other);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

at::Tensor RandomDirections(int64_t count, int64_t width, double norm, uint64_t seed) {
  Random random(seed);
  at::Tensor directions = at::empty({count, width}, at::kDouble);
  double* data = directions.data_ptr<double>();
  for (int64_t i = 0; i < count * width; ++i) data[i] = random.Normal();
  return directions * (norm / directions.norm(2, {1}, true));
}

double ControlPercentile(double effect, const std::vector<double>& controls) {
  TORCH_CHECK_VALUE(!controls.empty(), "controls: none, expected at least one");
  double below = 0;
  for (const double control : controls) {
    below += std::abs(control) < std::abs(effect) ? 1 : std::abs(control) == std::abs(effect) ? 0.5 : 0;
  }
  return below / static_cast<double>(controls.size());
}

double ControlPValue(double effect, const std::vector<double>& controls) {
  const auto as_large = std::count_if(controls.begin(), controls.end(),
                                      [&](double control) { return std::abs(control) >= std::abs(effect); });
  return static_cast<double>(1 + as_large) / static_cast<double>(1 + controls.size());
}

std::vector<double> BenjaminiHochberg(const std::vector<double>& p_values) {
  std::vector<size_t> order;
  for (size_t i = 0; i < p_values.size(); ++i) {
    if (!std::isnan(p_values[i])) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p_values[a] > p_values[b]; });
  std::vector<double> q(p_values.size(), std::numeric_limits<double>::quiet_NaN());
  const double count = static_cast<double>(order.size());
  double smallest = 1;
  for (size_t i = 0; i < order.size(); ++i) {
    smallest = std::min(smallest, p_values[order[i]] * count / (count - static_cast<double>(i)));
    q[order[i]] = smallest;
  }
  return q;
}

}  // namespace lifescope
