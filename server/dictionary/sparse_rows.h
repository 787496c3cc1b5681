// Making sparse activations and multiplying with them. CPU only, but for KeepNonZero. Every row of an output is
// summed by one thread in a fixed order, so results do not depend on the number of threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/dictionary/dictionary.h"

namespace lifescope {

// The entries of dense activations [rows, features] that are not 0.
SparseActivations KeepNonZero(const at::Tensor& dense);

// Of the k largest entries of each row of `pre_activations` [rows, features], those above 0.
SparseActivations KeepTopK(const at::Tensor& pre_activations, int64_t k);

// The entries of `dense` [rows, features] where `mask` is true.
SparseActivations KeepWhere(const at::Tensor& dense, const at::Tensor& mask);

// The entries of `active` for which `kept` (BOOL [active]) is true.
SparseActivations KeepEntries(const SparseActivations& active, const at::Tensor& kept);

// The rows of all parts, in order. At least one part.
SparseActivations Concatenate(const std::vector<SparseActivations>& parts);

// out[r] = sum over the active features i of row r of value * matrix[i]; matrix [features, width] -> [rows, width].
at::Tensor SparseTimesDense(const SparseActivations& active, const at::Tensor& matrix);

// For every active entry (row r, feature i): <left[r], right[i]>; -> [active].
at::Tensor DotProducts(const SparseActivations& active, const at::Tensor& left, const at::Tensor& right);

// The active entries grouped by feature: those of feature i are [offsets[i], offsets[i + 1]), rows ascending.
struct EntriesByFeature {
  std::vector<int64_t> offsets;  // [features + 1]
  std::vector<int32_t> rows;     // the row of each entry
  std::vector<int64_t> entries;  // its index in the SparseActivations
};
EntriesByFeature GroupByFeature(const SparseActivations& active);

// out[i] += sum over the entries of feature i of weight * matrix[row]; matrix [rows, width], out [features, width].
void AddTransposedTimesDense(const EntriesByFeature& by_feature, const at::Tensor& weights, const at::Tensor& matrix,
                             at::Tensor& out);

// out[i] += sum over the entries of feature i of weight; out [features].
void AddSumsByFeature(const EntriesByFeature& by_feature, const at::Tensor& weights, at::Tensor& out);

}  // namespace lifescope
