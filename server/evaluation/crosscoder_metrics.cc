#include "server/evaluation/crosscoder_metrics.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "server/dictionary/crosscoder_sites.h"

namespace lifescope {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
// Of the sum of norms, at a site that has a feature for itself.
constexpr double kExclusive = 0.9;
// Between these two sites share a feature.
constexpr double kSharedAbove = 0.3, kSharedBelow = 0.7;

at::Tensor WithoutZeros(const at::Tensor& directions) {
  return directions.index_select(0, directions.ne(0).any(1).nonzero().squeeze(1)).to(at::kDouble);
}

double ShareOf(const at::Tensor& which) { return which.to(at::kDouble).mean().item<double>(); }

}  // namespace

at::Tensor RelativeDecoderNorms(const at::Tensor& directions, const std::vector<int64_t>& widths) {
  const at::Tensor norms = SiteNorms(WithoutZeros(directions), widths);
  return norms / norms.sum(1, /*keepdim=*/true);
}

std::vector<Measurement> CrosscoderMetrics(const at::Tensor& directions, const std::vector<int64_t>& widths,
                                           const std::vector<std::string>& names) {
  const at::Tensor relative = RelativeDecoderNorms(directions, widths);
  std::vector<Measurement> metrics;
  const char* why_undefined = relative.size(0) == 0 ? "no feature fires" : "no feature is shared";
  const auto add = [&](const char* name, double value, const std::string& where) {
    metrics.push_back({name, value, kNan, kNan, std::isnan(value) ? where + ": " + why_undefined : where});
  };
  for (size_t site = 0; site < names.size(); ++site) {
    const at::Tensor here = relative.select(1, static_cast<int64_t>(site));
    add("relative_decoder_norm", here.mean().item<double>(), names[site]);
    add("exclusive_feature_share", ShareOf(here.gt(kExclusive)), names[site]);
  }
  for (size_t site = 0; site + 1 < names.size(); ++site) {
    const auto a = static_cast<int64_t>(site);
    const SiteComparison comparison = CompareSites(WithoutZeros(directions), widths, a, a + 1);
    const at::Tensor shared = comparison.relative_norm.gt(kSharedAbove) & comparison.relative_norm.lt(kSharedBelow);
    const std::string pair = names[site] + " and " + names[site + 1];
    add("shared_feature_share", ShareOf(shared), pair);
    if (!comparison.cosine.defined()) continue;
    add("shared_decoder_cosine", comparison.cosine.masked_select(shared).mean().item<double>(), pair);
  }
  return metrics;
}

}  // namespace lifescope
