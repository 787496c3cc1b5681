#include "server/evaluation/dictionary_similarity.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <queue>
#include <tuple>
#include <utility>
#include <vector>

namespace lifescope {
namespace {

// Rows whose cosines with all others are held at once.
constexpr int64_t kChunkRows = 512;

at::Tensor UnitRows(const at::Tensor& matrix) {
  TORCH_CHECK_VALUE(matrix.dim() == 2 && matrix.size(0) > 0, "directions: ", matrix.sizes(),
                    ", expected [features, width] with at least one feature");
  const at::Tensor rows = matrix.to(at::kCPU, at::kDouble);
  const at::Tensor norm = rows.norm(2, {1}, /*keepdim=*/true);
  return rows / at::where(norm.eq(0), at::ones_like(norm), norm);
}

std::pair<at::Tensor, at::Tensor> UnitPair(const at::Tensor& a, const at::Tensor& b) {
  std::pair<at::Tensor, at::Tensor> units(UnitRows(a), UnitRows(b));
  TORCH_CHECK_VALUE(units.first.size(1) == units.second.size(1), "directions: width ", b.size(1), ", expected ",
                    a.size(1));
  return units;
}

// Calls `visit(begin, products)` with left[begin ..] right^T in chunks of rows.
template <typename Visit>
void ForEachProduct(const at::Tensor& left, const at::Tensor& right, const Visit& visit) {
  const at::Tensor transposed = right.t();
  for (int64_t begin = 0; begin < left.size(0); begin += kChunkRows) {
    visit(begin, left.narrow(0, begin, std::min(kChunkRows, left.size(0) - begin)).mm(transposed));
  }
}

}  // namespace

at::Tensor MaxCosines(const at::Tensor& from, const at::Tensor& to) {
  const auto [a, b] = UnitPair(from, to);
  std::vector<at::Tensor> largest;
  ForEachProduct(a, b, [&](int64_t, const at::Tensor& cosines) { largest.push_back(cosines.amax(1)); });
  return at::cat(largest);
}

at::Tensor MaxCosinesWithin(const at::Tensor& directions) {
  const at::Tensor units = UnitRows(directions);
  TORCH_CHECK_VALUE(units.size(0) > 1, "directions: one row, expected at least two");
  std::vector<at::Tensor> largest;
  ForEachProduct(units, units, [&](int64_t begin, at::Tensor cosines) {
    cosines.diagonal(begin).fill_(-2);  // below every cosine
    largest.push_back(cosines.amax(1));
  });
  return at::cat(largest);
}

at::Tensor PairedCosines(const at::Tensor& a, const at::Tensor& b) {
  const auto [left, right] = UnitPair(a, b);
  TORCH_CHECK_VALUE(left.size(0) == right.size(0), "directions: ", right.size(0), " features, expected ", left.size(0));
  return (left * right).sum(1);
}

double Mmcs(const at::Tensor& from, const at::Tensor& to) { return MaxCosines(from, to).mean().item<double>(); }

at::Tensor GreedyMatchedCosines(const at::Tensor& a, const at::Tensor& b) {
  auto [rows, columns] = UnitPair(a, b);
  if (rows.size(0) > columns.size(0)) std::swap(rows, columns);
  std::vector<bool> taken(static_cast<size_t>(columns.size(0)), false);
  // Cosine, row, its best column when it was put there; equal cosines in the order of rows.
  std::priority_queue<std::tuple<double, int64_t, int64_t>> candidates;
  ForEachProduct(rows, columns, [&](int64_t begin, const at::Tensor& cosines) {
    const auto [best, column] = cosines.max(1);
    for (int64_t i = 0; i < best.size(0); ++i) {
      candidates.emplace(best[i].item<double>(), -(begin + i), column[i].item<int64_t>());
    }
  });
  std::vector<double> matched;
  while (!candidates.empty()) {
    const auto [cosine, negative_row, column] = candidates.top();
    candidates.pop();
    if (!taken[static_cast<size_t>(column)]) {
      taken[static_cast<size_t>(column)] = true;
      matched.push_back(cosine);
      continue;
    }
    // Its best column went to another row: look again among those that are free.
    const at::Tensor cosines = columns.mv(rows[-negative_row]);
    const double* values = cosines.data_ptr<double>();
    int64_t best = -1;
    for (int64_t c = 0; c < cosines.size(0); ++c) {
      if (!taken[static_cast<size_t>(c)] && (best < 0 || values[c] > values[best])) best = c;
    }
    candidates.emplace(values[best], negative_row, best);
  }
  return at::tensor(matched, at::kDouble);
}

at::Tensor Capacities(const at::Tensor& rows) {
  TORCH_CHECK_VALUE(rows.dim() == 2, "rows: ", rows.sizes(), ", expected two dimensions");
  const at::Tensor a = rows.to(at::kCPU, at::kDouble);
  std::vector<at::Tensor> interference;
  ForEachProduct(a, a, [&](int64_t, const at::Tensor& products) { interference.push_back(products.square().sum(1)); });
  return a.square().sum(1).square() / at::cat(interference);
}

}  // namespace lifescope
