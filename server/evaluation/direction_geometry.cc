#include "server/evaluation/direction_geometry.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace lifescope {
namespace {

constexpr double kPi = 3.14159265358979323846;
// Of the largest singular value.
constexpr double kRankTolerance = 1e-4;

// Rows of each class.
std::vector<at::Tensor> RowsByClass(const at::Tensor& points, const std::vector<int64_t>& classes) {
  TORCH_CHECK_VALUE(points.dim() == 2 && points.size(0) == static_cast<int64_t>(classes.size()),
                    "points: ", points.sizes(), ", expected [", classes.size(), ", d] as the classes");
  std::map<int64_t, std::vector<int64_t>> rows;
  for (size_t i = 0; i < classes.size(); ++i) rows[classes[i]].push_back(static_cast<int64_t>(i));
  TORCH_CHECK_VALUE(1 < rows.size() && rows.size() < classes.size(), "classes: ", rows.size(), " of ", classes.size(),
                    " rows, expected at least 2 and fewer than rows");
  std::vector<at::Tensor> by_class;
  for (const auto& [ignored, indices] : rows) by_class.push_back(at::tensor(indices, at::kLong));
  return by_class;
}

struct Svd {
  at::Tensor singular_values;  // those above the tolerance
  at::Tensor right;            // [rank, d]
};

Svd LeadingSvd(const at::Tensor& matrix, double tolerance) {
  const auto [u, s, right] = at::linalg_svd(matrix, /*full_matrices=*/false);
  const int64_t rank = (s > tolerance).sum().item<int64_t>();
  return {s.narrow(0, 0, rank), right.narrow(0, 0, rank)};
}

}  // namespace

at::Tensor AngularSimilarity(const at::Tensor& directions) {
  const at::Tensor rows = directions.to(at::kDouble);
  const at::Tensor unit = rows / rows.norm(2, 1, /*keepdim=*/true).clamp_min(1e-300);
  at::Tensor similarity = 1 - unit.mm(unit.t()).clamp(-1, 1).acos() / kPi;
  similarity.fill_diagonal_(1);
  return similarity;
}

at::Tensor CovarianceSpectrum(const at::Tensor& points) {
  const at::Tensor rows = points.to(at::kDouble);
  const at::Tensor centred = rows - rows.mean(0);
  const at::Tensor covariance = centred.t().mm(centred) / static_cast<double>(rows.size(0));
  return at::linalg_eigvalsh(covariance).flip(0);
}

double PowerLawSlope(const at::Tensor& spectrum) {
  const at::Tensor values = spectrum.to(at::kDouble);
  const at::Tensor kept = (values > 1e-12 * values.max()).nonzero().squeeze(1);
  if (kept.numel() < 2) return std::numeric_limits<double>::quiet_NaN();
  const at::Tensor x = (kept.to(at::kDouble) + 1).log(), y = values.index_select(0, kept).log();
  const at::Tensor centred = x - x.mean();
  return (centred * y).sum().item<double>() / centred.square().sum().item<double>();
}

at::Tensor DifferenceVectors(const at::Tensor& points, const at::Tensor& pairs) {
  TORCH_CHECK_VALUE(pairs.dim() == 2 && pairs.size(1) == 2 && pairs.scalar_type() == at::kLong,
                    "pairs: ", pairs.scalar_type(), " ", pairs.sizes(), ", expected INT64 [pairs, 2]");
  return points.index_select(0, pairs.select(1, 1)) - points.index_select(0, pairs.select(1, 0));
}

at::Tensor DiscriminantCoordinates(const at::Tensor& points, const std::vector<int64_t>& classes, int64_t components) {
  const std::vector<at::Tensor> by_class = RowsByClass(points, classes);
  const at::Tensor rows = points.to(at::kDouble);
  const at::Tensor mean = rows.mean(0);
  const auto n = static_cast<double>(rows.size(0)), class_count = static_cast<double>(by_class.size());
  std::vector<at::Tensor> within, between;
  for (const at::Tensor& indices : by_class) {
    const at::Tensor members = rows.index_select(0, indices);
    const at::Tensor centre = members.mean(0);
    within.push_back(members - centre);
    between.push_back((centre - mean) * std::sqrt(static_cast<double>(indices.numel()) / (class_count - 1)));
  }
  const at::Tensor spread = at::cat(within);
  const at::Tensor deviation = spread.square().mean(0).sqrt();
  const at::Tensor scale = at::where(deviation > 0, deviation, at::ones_like(deviation));
  const Svd inner = LeadingSvd(spread / scale / std::sqrt(n - class_count), kRankTolerance);
  TORCH_CHECK_VALUE(inner.singular_values.numel() > 0, "points: no spread within the classes, expected some");
  // In these coordinates the spread within classes is 1 in every direction.
  const at::Tensor whitening = (inner.right / scale).t() / inner.singular_values;
  const at::Tensor centres = at::stack(between).mm(whitening);
  const at::Tensor largest = at::linalg_matrix_norm(centres, 2);
  const Svd outer = LeadingSvd(centres, kRankTolerance * largest.item<double>());
  const int64_t kept = std::min(components, outer.singular_values.numel());
  return (rows - mean).mm(whitening).mm(outer.right.t()).narrow(1, 0, kept);
}

double Silhouette(const at::Tensor& points, const std::vector<int64_t>& classes) {
  const std::vector<at::Tensor> by_class = RowsByClass(points, classes);
  const at::Tensor rows = points.to(at::kDouble).contiguous();
  const at::Tensor distances = at::cdist(rows, rows, 2, /*compute_mode=*/2);  // without the rounding of a product
  std::vector<at::Tensor> sums;
  for (const at::Tensor& indices : by_class) sums.push_back(distances.index_select(1, indices).sum(1));
  double total = 0;
  for (size_t own = 0; own < by_class.size(); ++own) {
    const int64_t size = by_class[own].numel();
    if (size == 1) continue;
    const at::Tensor inside = sums[own].index_select(0, by_class[own]) / static_cast<double>(size - 1);
    at::Tensor outside = at::full_like(inside, std::numeric_limits<double>::infinity());
    for (size_t other = 0; other < by_class.size(); ++other) {
      if (other == own) continue;
      outside = at::minimum(outside,
                            sums[other].index_select(0, by_class[own]) / static_cast<double>(by_class[other].numel()));
    }
    const at::Tensor larger = at::maximum(inside, outside);
    total += at::where(larger > 0, (outside - inside) / larger, at::zeros_like(larger)).sum().item<double>();
  }
  return total / static_cast<double>(rows.size(0));
}

}  // namespace lifescope
