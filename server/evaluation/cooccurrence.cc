#include "server/evaluation/cooccurrence.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>

namespace lifescope {
namespace {

// The contingency table of every pair of features, DOUBLE [features, features] each.
struct Contingency {
  at::Tensor n11, n10, n01, n00;
};

Contingency ToContingency(const Cooccurrences& counts) {
  const at::Tensor own = counts.together.diagonal();
  const at::Tensor first = own.unsqueeze(1), second = own.unsqueeze(0);
  return {counts.together, first - counts.together, second - counts.together,
          static_cast<double>(counts.chunk_count) - first - second + counts.together};
}

at::Tensor Divide(const at::Tensor& part, const at::Tensor& whole) {
  return at::where(whole > 0, part / whole, at::zeros_like(part));
}

}  // namespace

void CheckChunks(const SparseActivations& codes, const std::vector<int64_t>& chunk_offsets) {
  TORCH_CHECK_VALUE(!chunk_offsets.empty() && chunk_offsets.front() == 0 && chunk_offsets.back() == codes.rows() &&
                        std::is_sorted(chunk_offsets.begin(), chunk_offsets.end()),
                    "chunk_offsets: expected ascending from 0 to ", codes.rows(), ", the number of rows");
}

Cooccurrences CountCooccurrences(const SparseActivations& codes, const std::vector<int64_t>& chunk_offsets,
                                 double threshold) {
  CheckChunks(codes, chunk_offsets);
  const at::Tensor values = codes.values.to(at::kDouble).contiguous();
  const at::Tensor features = codes.features.contiguous(), offsets = codes.row_offsets.contiguous();
  const int64_t* offset = offsets.data_ptr<int64_t>();
  Cooccurrences counts{at::zeros({codes.feature_count, codes.feature_count}, at::kDouble),
                       static_cast<int64_t>(chunk_offsets.size()) - 1};
  double* together = counts.together.data_ptr<double>();
  std::vector<int64_t> present;
  for (int64_t chunk = 0; chunk < counts.chunk_count; ++chunk) {
    present.clear();
    for (int64_t i = offset[chunk_offsets[chunk]]; i < offset[chunk_offsets[chunk + 1]]; ++i) {
      if (values.data_ptr<double>()[i] > threshold) present.push_back(features.data_ptr<int32_t>()[i]);
    }
    std::sort(present.begin(), present.end());
    present.erase(std::unique(present.begin(), present.end()), present.end());
    for (const int64_t a : present) {
      for (const int64_t b : present) together[a * codes.feature_count + b] += 1;
    }
  }
  return counts;
}

at::Tensor PhiAffinity(const Cooccurrences& counts) {
  const Contingency n = ToContingency(counts);
  return Divide(n.n11 * n.n00 - n.n10 * n.n01,
                ((n.n11 + n.n10) * (n.n01 + n.n00) * (n.n11 + n.n01) * (n.n10 + n.n00)).sqrt());
}

at::Tensor JaccardAffinity(const Cooccurrences& counts) {
  const Contingency n = ToContingency(counts);
  return Divide(n.n11, n.n11 + n.n10 + n.n01);
}

at::Tensor DiceAffinity(const Cooccurrences& counts) {
  const Contingency n = ToContingency(counts);
  return Divide(2 * n.n11, 2 * n.n11 + n.n10 + n.n01);
}

at::Tensor OverlapAffinity(const Cooccurrences& counts) {
  const at::Tensor own = counts.together.diagonal();
  return Divide(counts.together, at::minimum(own.unsqueeze(1), own.unsqueeze(0)));
}

at::Tensor SimpleMatchingAffinity(const Cooccurrences& counts) {
  const Contingency n = ToContingency(counts);
  return Divide(n.n11 + n.n00, n.n11 + n.n10 + n.n01 + n.n00);
}

}  // namespace lifescope
