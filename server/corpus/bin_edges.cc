#include "server/corpus/bin_edges.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

namespace lifescope {
namespace {

// The linear percentile of sorted values, step by step as NumPy computes it.
double Percentile(std::span<const double> sorted, double percent) {
  const double position = percent / 100 * static_cast<double>(sorted.size() - 1);
  const double below = std::floor(position);
  const double g = position - below;
  const size_t j = static_cast<size_t>(below);
  const double a = sorted[j], b = sorted[std::min(j + 1, sorted.size() - 1)];
  const double difference = b - a;
  return g < 0.5 ? a + difference * g : b - difference * (1 - g);
}

}  // namespace

// The published pipeline merges the percentiles of its one partition in floating point, and rounding makes many edges
// the percentile before the wanted one. The order of operations here is therefore part of the result.
std::vector<double> FitBinEdges(std::span<const double> x, int32_t bin_count) {
  TORCH_CHECK_VALUE(bin_count >= 3, "bin_count is ", bin_count, ", expected at least 3");
  if (x.empty()) return {};

  const int32_t edge_count = bin_count - 1;
  const double step = 1.0 / (edge_count - 1);
  std::vector<double> percents(static_cast<size_t>(edge_count));
  for (int32_t i = 0; i < edge_count; ++i) percents[i] = i * step * 100;
  percents.back() = 100;
  std::vector<double> cuts = {0};
  cuts.insert(cuts.end(), percents.begin(), percents.end());
  cuts.push_back(100);

  const double n = static_cast<double>(x.size());
  std::vector<double> value, rank;
  double running = 0;
  for (size_t k = 0; k < cuts.size(); ++k) {
    value.push_back(Percentile(x, cuts[k]));
    running += k == 0 ? 0 : (cuts[k] - cuts[k - 1]) * n;
    rank.push_back(running);
  }
  std::vector<double> edges;
  for (const double percent : percents) {
    const double wanted = percent * n;
    const auto left = std::lower_bound(rank.begin(), rank.end(), wanted) - rank.begin();
    const auto right = std::upper_bound(rank.begin(), rank.end(), wanted) - rank.begin() - 1;
    edges.push_back(value[std::min({left, right, static_cast<std::ptrdiff_t>(value.size()) - 1})]);
  }
  return edges;
}

}  // namespace lifescope
