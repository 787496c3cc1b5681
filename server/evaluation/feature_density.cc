#include "server/evaluation/feature_density.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace lifescope {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
// The usual offset under the logarithm, which is where dead features are shown.
constexpr double kLogOffset = 1e-10, kLowestLog = -10;

}  // namespace

FeatureCounts::FeatureCounts(int64_t feature_count)
    : rows_fired_(at::zeros({feature_count}, at::kLong)), documents_fired_(at::zeros({feature_count}, at::kLong)) {}

void FeatureCounts::AddDocument(const at::Tensor& features) {
  TORCH_CHECK_VALUE(features.dim() == 2 && features.size(1) == rows_fired_.size(0), "features: ", features.sizes(),
                    ", expected [rows, ", rows_fired_.size(0), "]");
  const at::Tensor fired = features.ne(0).sum(0).to(at::kCPU);
  rows_ += features.size(0);
  rows_fired_ += fired;
  documents_fired_ += fired.ne(0);
}

at::Tensor FeatureCounts::Densities() const { return rows_fired_.to(at::kDouble) / static_cast<double>(rows_); }

at::Tensor FeatureCounts::ConsistentActivation() const { return rows_fired_.to(at::kDouble) / documents_fired_; }

std::vector<Measurement> DensityMetrics(const at::Tensor& densities) {
  const auto features = static_cast<double>(densities.size(0));
  const double dead = densities.eq(0).sum().item<double>(), all_firing = densities.sum().item<double>();
  const auto above = [&](double threshold) { return densities.gt(threshold).sum().item<double>(); };
  const auto firing_above = [&](double threshold) {
    return (densities * densities.gt(threshold)).sum().item<double>() / all_firing;
  };
  std::vector<Measurement> metrics;
  const auto add = [&](const char* name, double value) {
    metrics.push_back({name, value, kNan, kNan, std::isnan(value) ? "no feature fires" : ""});
  };
  add("alive_fraction", 1 - dead / features);
  add("dead_feature_count", dead);
  add("dense_feature_count", above(0.1));
  add("frequency_over_1_percent", above(0.01) / features);
  add("frequency_over_10_percent", above(0.1) / features);
  add("normalized_frequency_over_1_percent", firing_above(0.01));
  add("normalized_frequency_over_10_percent", firing_above(0.1));
  return metrics;
}

at::Tensor LogDensities(const at::Tensor& densities) { return (densities + kLogOffset).log10(); }

std::vector<int64_t> LogDensityHistogram(const at::Tensor& densities, int64_t bins) {
  const at::Tensor logs = LogDensities(densities).contiguous();
  std::vector<int64_t> histogram(static_cast<size_t>(bins), 0);
  for (int64_t i = 0; i < logs.size(0); ++i) {
    const double share = 1 - logs.data_ptr<double>()[i] / kLowestLog;
    ++histogram[static_cast<size_t>(
        std::clamp<int64_t>(static_cast<int64_t>(share * static_cast<double>(bins)), 0, bins - 1))];
  }
  return histogram;
}

}  // namespace lifescope
