#include "server/dictionary/training/topk_selection.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "server/dictionary/sparse_encoder.h"
#include "server/dictionary/sparse_rows.h"
#include "server/dictionary/top_k.h"

namespace lifescope {
namespace {

using Over = TopKSelection::Over;

// Scores of GroupMax exist for this many rows at once.
constexpr int64_t kRowsAtOnce = 256;

SparseActivations SelectGroups(double k, const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias) {
  std::vector<SparseActivations> parts;
  for (int64_t row = 0; row < rows.size(0); row += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, rows.size(0) - row);
    const at::Tensor scores = at::addmm(bias, rows.narrow(0, row, count), encoder.t());
    parts.push_back(KeepWhere(scores.relu(), SelectDense(Over::kGroups, k, scores)));
  }
  return Concatenate(parts);
}

}  // namespace

void CheckSelection(const TopKSelection& s, int64_t feature_count) {
  TORCH_CHECK_VALUE(s.k > 0 && s.k <= static_cast<double>(feature_count), "k is ", s.k,
                    ", expected above 0 and at most feature_count, ", feature_count);
  TORCH_CHECK_VALUE(s.over == Over::kBatch || s.k == std::floor(s.k), "k is ", s.k, ", expected a whole number");
  TORCH_CHECK_VALUE(s.anneal_steps >= 0, "anneal_steps is ", s.anneal_steps, ", expected 0 or more");
  TORCH_CHECK_VALUE(
      s.anneal_steps == 0 || (s.anneal_from >= s.k && s.anneal_from <= static_cast<double>(feature_count)),
      "anneal_from is ", s.anneal_from, ", expected k, ", s.k, ", to feature_count, ", feature_count);
  if (s.over != Over::kGroups) return;
  TORCH_CHECK_VALUE(feature_count % static_cast<int64_t>(s.k) == 0, "k is ", s.k,
                    ", expected a divisor of feature_count, ", feature_count);
  TORCH_CHECK_VALUE(s.anneal_steps == 0, "anneal_steps is ", s.anneal_steps, ", expected 0 for groups");
}

double KAt(const TopKSelection& s, int64_t step) {
  if (step >= s.anneal_steps) return s.k;
  const double share = static_cast<double>(step) / static_cast<double>(s.anneal_steps);
  const double k = s.anneal_from * (1 - share) + s.k * share;
  return s.anneals_to_nearest ? std::nearbyint(k) : std::floor(k);
}

at::Tensor SelectDense(Over over, double k, const at::Tensor& scores) {
  const int64_t rows = scores.size(0), features = scores.size(1);
  at::Tensor candidates = scores.detach();
  int64_t count = static_cast<int64_t>(k);
  if (over == Over::kBatch) {
    candidates = candidates.reshape({1, -1});
    count = static_cast<int64_t>(k * static_cast<double>(rows));
  } else if (over == Over::kGroups) {
    candidates = candidates.reshape({-1, features / count}).relu();
    count = 1;
  }
  const at::Tensor selected =
      at::zeros_like(candidates, at::kBool).scatter_(1, TopKIndices(candidates, count), /*value=*/true);
  const at::Tensor result = selected.view({rows, features});
  return over == Over::kGroups ? result : result.logical_and(scores > 0);
}

SparseActivations SelectSparse(Over over, double k, const at::Tensor& rows, const at::Tensor& encoder,
                               const at::Tensor& bias, Matmul matmul) {
  switch (over) {
    case Over::kRow:
      return EncodeTopK(rows, encoder, bias, static_cast<int64_t>(k), matmul);
    case Over::kBatch:
      return EncodeBatchTopK(rows, encoder, bias, static_cast<int64_t>(k * static_cast<double>(rows.size(0))), matmul);
    case Over::kGroups:
      break;
  }
  return SelectGroups(k, rows, encoder, bias);
}

}  // namespace lifescope
