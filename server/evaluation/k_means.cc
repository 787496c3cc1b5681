#include "server/evaluation/k_means.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <limits>

#include "server/corpus/random.h"

namespace lifescope {
namespace {

at::Tensor SquaredDistances(const at::Tensor& points, const at::Tensor& centre) {
  return (points - centre).square().sum(1);
}

std::vector<double> ToVector(const at::Tensor& values) {
  const at::Tensor contiguous = values.contiguous();
  return {contiguous.data_ptr<double>(), contiguous.data_ptr<double>() + contiguous.numel()};
}

// Each next centre is a point drawn in proportion to its squared distance from the centres so far.
at::Tensor SeedCentres(const at::Tensor& points, int64_t clusters, Random& random) {
  std::vector<at::Tensor> centres{points[random.Below(points.size(0))]};
  at::Tensor nearest = SquaredDistances(points, centres[0]);
  while (static_cast<int64_t>(centres.size()) < clusters) {
    const bool is_spread = nearest.sum().item<double>() > 0;
    const int64_t next = is_spread ? random.Weighted(ToVector(nearest)) : random.Below(points.size(0));
    centres.push_back(points[next]);
    nearest = at::minimum(nearest, SquaredDistances(points, centres.back()));
  }
  return at::stack(centres);
}

// Nearest centre of every point, and the squared distance to it.
std::pair<at::Tensor, at::Tensor> Assign(const at::Tensor& points, const at::Tensor& centres) {
  std::vector<at::Tensor> distances;
  for (int64_t c = 0; c < centres.size(0); ++c) distances.push_back(SquaredDistances(points, centres[c]));
  const auto [distance, label] = at::stack(distances, 1).min(1);
  return {label, distance};
}

// Means of the points of each cluster; a cluster that lost all of them starts anew at the farthest point.
at::Tensor MoveCentres(const at::Tensor& points, const at::Tensor& labels, const at::Tensor& distances,
                       int64_t clusters) {
  at::Tensor counts = at::zeros({clusters}, at::kDouble).index_add(0, labels, at::ones_like(distances));
  at::Tensor centres = at::zeros({clusters, points.size(1)}, at::kDouble).index_add(0, labels, points);
  centres = centres / counts.clamp_min(1).unsqueeze(1);
  for (int64_t c = 0; c < clusters; ++c) {
    if (counts[c].item<double>() == 0) centres[c].copy_(points[distances.argmax().item<int64_t>()]);
  }
  return centres;
}

}  // namespace

KMeansResult KMeans(const at::Tensor& points, const KMeansOptions& options) {
  TORCH_CHECK_VALUE(points.dim() == 2 && 1 <= options.clusters && options.clusters <= points.size(0),
                    "clusters: ", options.clusters, " of points ", points.sizes(),
                    ", expected 1 to the rows of [n, d]");
  const at::Tensor rows = points.to(at::kDouble).contiguous();
  Random random(options.seed);
  KMeansResult best;
  best.inertia = std::numeric_limits<double>::infinity();
  for (int64_t start = 0; start < options.starts; ++start) {
    at::Tensor centres = SeedCentres(rows, options.clusters, random);
    auto [labels, distances] = Assign(rows, centres);
    for (int64_t i = 0; i < options.iterations; ++i) {
      centres = MoveCentres(rows, labels, distances, options.clusters);
      const auto [next_labels, next_distances] = Assign(rows, centres);
      const bool is_settled = at::equal(labels, next_labels);
      labels = next_labels;
      distances = next_distances;
      if (is_settled) break;
    }
    const double inertia = distances.sum().item<double>();
    if (inertia < best.inertia) {
      const at::Tensor found = labels.contiguous();
      best = {{found.data_ptr<int64_t>(), found.data_ptr<int64_t>() + found.numel()}, inertia};
    }
  }
  return best;
}

}  // namespace lifescope
