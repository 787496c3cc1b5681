#include "server/evaluation/clustering.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "server/evaluation/k_means.h"

namespace lifescope {
namespace {

// Sizes of the clusters of two labellings and of their intersections.
struct Overlaps {
  std::map<int64_t, double> a, b;
  std::map<std::pair<int64_t, int64_t>, double> both;
};

double LogFactorial(double n) { return std::lgamma(n + 1); }

double Entropy(const std::map<int64_t, double>& sizes, double n) {
  double entropy = 0;
  for (const auto& [ignored, size] : sizes) entropy -= size / n * std::log(size / n);
  return entropy;
}

double MutualInformation(const Overlaps& overlaps, double n) {
  double information = 0;
  for (const auto& [labels, size] : overlaps.both) {
    information += size / n * std::log(n * size / (overlaps.a.at(labels.first) * overlaps.b.at(labels.second)));
  }
  return information;
}

// Of labellings with these cluster sizes, permuted at random: the overlap of two clusters is hypergeometric.
double ExpectedMutualInformation(const Overlaps& overlaps, double n) {
  double expected = 0;
  for (const auto& [ignored_a, a] : overlaps.a) {
    for (const auto& [ignored_b, b] : overlaps.b) {
      const double fixed =
          LogFactorial(a) + LogFactorial(b) + LogFactorial(n - a) + LogFactorial(n - b) - LogFactorial(n);
      for (double size = std::max(1.0, a + b - n); size <= std::min(a, b); ++size) {
        const double log_probability = fixed - LogFactorial(size) - LogFactorial(a - size) - LogFactorial(b - size) -
                                       LogFactorial(n - a - b + size);
        expected += size / n * std::log(n * size / (a * b)) * std::exp(log_probability);
      }
    }
  }
  return expected;
}

}  // namespace

std::vector<int64_t> SpectralClusters(const at::Tensor& affinity, int64_t clusters, uint64_t seed) {
  TORCH_CHECK_VALUE(affinity.dim() == 2 && affinity.size(0) == affinity.size(1), "affinity: ", affinity.sizes(),
                    ", expected [n, n]");
  const int64_t n = affinity.size(0);
  TORCH_CHECK_VALUE(1 <= clusters && clusters <= n, "clusters: ", clusters, ", expected 1 to ", n);
  at::Tensor weights = affinity.to(at::kDouble).clone();
  weights.fill_diagonal_(0);
  TORCH_CHECK_VALUE(at::isfinite(weights).all().item<bool>() && weights.min().item<double>() >= 0 &&
                        at::allclose(weights, weights.t()),
                    "affinity: expected symmetric, finite and not negative");
  const at::Tensor degree = weights.sum(1);
  const at::Tensor root = at::where(degree > 0, degree.sqrt(), at::ones_like(degree));
  const at::Tensor normalised = weights / root.unsqueeze(1) / root.unsqueeze(0);
  const at::Tensor vectors = std::get<1>(at::linalg_eigh(normalised));  // eigenvalues ascend
  const at::Tensor embedding = vectors.narrow(1, n - clusters, clusters) / root.unsqueeze(1);
  KMeansOptions options;
  options.clusters = clusters;
  options.seed = seed;
  return KMeans(embedding, options).labels;
}

double AdjustedMutualInformation(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  TORCH_CHECK_VALUE(a.size() == b.size() && !a.empty(), "labels: ", a.size(), " and ", b.size(),
                    ", expected as many of each, at least one");
  Overlaps overlaps;
  for (size_t i = 0; i < a.size(); ++i) {
    overlaps.a[a[i]] += 1;
    overlaps.b[b[i]] += 1;
    overlaps.both[{a[i], b[i]}] += 1;
  }
  const bool is_one_each = overlaps.a.size() == 1 && overlaps.b.size() == 1;
  const bool is_all_single = overlaps.a.size() == a.size() && overlaps.b.size() == a.size();
  if (is_one_each || is_all_single) return 1;
  const double n = static_cast<double>(a.size());
  const double expected = ExpectedMutualInformation(overlaps, n);
  const double mean_entropy = (Entropy(overlaps.a, n) + Entropy(overlaps.b, n)) / 2;
  double denominator = mean_entropy - expected;
  // Its sign is kept where it is 0 but for rounding.
  const double epsilon = std::numeric_limits<double>::epsilon();
  denominator = denominator < 0 ? std::min(denominator, -epsilon) : std::max(denominator, epsilon);
  return (MutualInformation(overlaps, n) - expected) / denominator;
}

}  // namespace lifescope
