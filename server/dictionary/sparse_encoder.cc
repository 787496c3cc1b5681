#include "server/dictionary/sparse_encoder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "server/dictionary/sparse_rows.h"

namespace lifescope {
namespace {

// Pre-activations exist for this many rows at once: they stay in the cache until those to be kept are found.
constexpr int64_t kRowsAtOnce = 256;

using Keep = std::function<SparseActivations(const at::Tensor& pre_activations)>;

SparseActivations EncodeInParts(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias,
                                const Keep& keep) {
  std::vector<SparseActivations> parts;
  int64_t row = 0;
  do {
    const int64_t count = std::min(kRowsAtOnce, rows.size(0) - row);
    parts.push_back(keep(at::addmm(bias, rows.narrow(0, row, count), encoder.t())));
    row += count;
  } while (row < rows.size(0));
  return Concatenate(parts);
}

}  // namespace

SparseActivations EncodeTopK(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias, int64_t k) {
  return EncodeInParts(rows, encoder, bias, [k](const at::Tensor& pre) { return KeepTopK(pre, k); });
}

SparseActivations EncodeAbove(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias,
                              const at::Tensor& bound) {
  return EncodeInParts(rows, encoder, bias, [&bound](const at::Tensor& pre) { return KeepWhere(pre, pre > bound); });
}

SparseActivations EncodeBatchTopK(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias,
                                  int64_t count) {
  const SparseActivations positive = EncodeAbove(rows, encoder, bias, at::zeros_like(bias));
  if (positive.values.numel() <= count) return positive;
  const at::Tensor order = std::get<1>(positive.values.sort(/*stable=*/true, /*dim=*/0, /*descending=*/true));
  at::Tensor kept = at::zeros(positive.values.sizes(), at::kBool);
  kept.index_fill_(0, order.narrow(0, 0, count), true);
  return KeepEntries(positive, kept);
}

}  // namespace lifescope
