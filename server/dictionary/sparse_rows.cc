#include "server/dictionary/sparse_rows.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "server/dictionary/top_k.h"
#include "server/vector/vector_kernels.h"

namespace lifescope {
namespace {

// Rows that one task of a parallel loop takes at least.
constexpr int64_t kGrain = 64;

// Into how many parts rows are cut at most to be sorted by feature.
constexpr int64_t kSortParts = 8;

at::Tensor OffsetsOf(const at::Tensor& counts) {
  return at::cat({at::zeros({1}, at::kLong), counts.to(at::kCPU, at::kLong).cumsum(0)});
}

}  // namespace

SparseActivations KeepNonZero(const at::Tensor& dense) { return KeepWhere(dense, dense != 0); }

SparseActivations KeepWhere(const at::Tensor& dense, const at::Tensor& mask) {
  SparseActivations active;
  active.row_offsets = OffsetsOf(mask.sum(1));
  active.features = mask.nonzero().select(1, 1).to(at::kCPU, at::kInt).contiguous();
  active.values = dense.masked_select(mask).to(at::kCPU);
  active.feature_count = dense.size(1);
  return active;
}

SparseActivations KeepTopK(const at::Tensor& pre_activations, int64_t k) {
  const at::Tensor chosen = TopKIndices(pre_activations, k);
  const at::Tensor values = pre_activations.gather(1, chosen);
  const at::Tensor mask = values > 0;
  SparseActivations active;
  active.row_offsets = OffsetsOf(mask.sum(1));
  active.features = chosen.masked_select(mask).to(at::kInt);
  active.values = values.masked_select(mask);
  active.feature_count = pre_activations.size(1);
  return active;
}

SparseActivations KeepEntries(const SparseActivations& active, const at::Tensor& kept) {
  const at::Tensor kept_before = at::cat({at::zeros({1}, at::kLong), kept.to(at::kLong).cumsum(0)});
  return {kept_before.index_select(0, active.row_offsets), active.features.masked_select(kept),
          active.values.masked_select(kept), active.feature_count};
}

SparseActivations Concatenate(const std::vector<SparseActivations>& parts) {
  std::vector<at::Tensor> offsets{at::zeros({1}, at::kLong)}, features, values;
  int64_t count = 0;
  for (const SparseActivations& part : parts) {
    offsets.push_back(part.row_offsets.narrow(0, 1, part.rows()) + count);
    features.push_back(part.features);
    values.push_back(part.values);
    count += part.features.numel();
  }
  return {at::cat(offsets), at::cat(features), at::cat(values), parts.front().feature_count};
}

at::Tensor SparseTimesDense(const SparseActivations& active, const at::Tensor& matrix) {
  TORCH_CHECK(matrix.is_contiguous() && matrix.size(0) == active.feature_count);
  const int64_t width = matrix.size(1);
  at::Tensor out = at::zeros({active.rows(), width}, matrix.options());
  const int64_t* offsets = active.row_offsets.data_ptr<int64_t>();
  const int32_t* features = active.features.data_ptr<int32_t>();
  AT_DISPATCH_FLOATING_TYPES(matrix.scalar_type(), "SparseTimesDense", [&] {
    const scalar_t* values = active.values.data_ptr<scalar_t>();
    const scalar_t* in = matrix.data_ptr<scalar_t>();
    scalar_t* sums = out.data_ptr<scalar_t>();
    at::parallel_for(0, active.rows(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        Kernels<scalar_t>().add_rows(values + offsets[r], features + offsets[r], offsets[r + 1] - offsets[r], in, width,
                                     sums + r * width);
      }
    });
  });
  return out;
}

at::Tensor DotProducts(const SparseActivations& active, const at::Tensor& left, const at::Tensor& right) {
  TORCH_CHECK(left.is_contiguous() && right.is_contiguous() && left.size(1) == right.size(1));
  const int64_t width = left.size(1);
  at::Tensor out = at::empty_like(active.values);
  const int64_t* offsets = active.row_offsets.data_ptr<int64_t>();
  const int32_t* features = active.features.data_ptr<int32_t>();
  AT_DISPATCH_FLOATING_TYPES(left.scalar_type(), "DotProducts", [&] {
    const scalar_t* rows = left.data_ptr<scalar_t>();
    const scalar_t* directions = right.data_ptr<scalar_t>();
    scalar_t* dots = out.data_ptr<scalar_t>();
    at::parallel_for(0, active.rows(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        for (int64_t e = offsets[r]; e < offsets[r + 1]; ++e) {
          dots[e] = Kernels<scalar_t>().dot(rows + r * width, directions + features[e] * width, width);
        }
      }
    });
  });
  return out;
}

// A counting sort: rows in parts of fixed number, each of which counts its own and then writes its own places.
EntriesByFeature GroupByFeature(const SparseActivations& active) {
  const int64_t* offsets = active.row_offsets.data_ptr<int64_t>();
  const int32_t* features = active.features.data_ptr<int32_t>();
  const int64_t count = active.features.numel(), feature_count = active.feature_count;
  const int64_t part_count = std::clamp<int64_t>(active.rows() / kGrain, 1, kSortParts);
  const auto first_row = [&](int64_t part) { return active.rows() * part / part_count; };
  std::vector<int64_t> next(part_count * feature_count, 0);
  at::parallel_for(0, part_count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      int64_t* counts = next.data() + part * feature_count;
      for (int64_t e = offsets[first_row(part)]; e < offsets[first_row(part + 1)]; ++e) ++counts[features[e]];
    }
  });
  EntriesByFeature result;
  result.offsets.resize(feature_count + 1);
  int64_t place = 0;
  for (int64_t i = 0; i < feature_count; ++i) {
    result.offsets[i] = place;
    for (int64_t part = 0; part < part_count; ++part) {
      const int64_t here = next[part * feature_count + i];
      next[part * feature_count + i] = place;
      place += here;
    }
  }
  result.offsets[feature_count] = place;
  result.rows.resize(count);
  result.entries.resize(count);
  at::parallel_for(0, part_count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      int64_t* places = next.data() + part * feature_count;
      for (int64_t r = first_row(part); r < first_row(part + 1); ++r) {
        for (int64_t e = offsets[r]; e < offsets[r + 1]; ++e) {
          const int64_t at = places[features[e]]++;
          result.rows[at] = static_cast<int32_t>(r);
          result.entries[at] = e;
        }
      }
    }
  });
  return result;
}

void AddTransposedTimesDense(const EntriesByFeature& by_feature, const at::Tensor& weights, const at::Tensor& matrix,
                             at::Tensor& out) {
  TORCH_CHECK(matrix.is_contiguous() && out.is_contiguous() && matrix.size(1) == out.size(1));
  const int64_t width = matrix.size(1);
  AT_DISPATCH_FLOATING_TYPES(matrix.scalar_type(), "AddTransposedTimesDense", [&] {
    const scalar_t* weight = weights.data_ptr<scalar_t>();
    const scalar_t* in = matrix.data_ptr<scalar_t>();
    scalar_t* sums = out.data_ptr<scalar_t>();
    at::parallel_for(0, out.size(0), kGrain, [&](int64_t begin, int64_t end) {
      std::vector<scalar_t> gathered;
      for (int64_t i = begin; i < end; ++i) {
        gathered.clear();
        const int64_t first = by_feature.offsets[i], last = by_feature.offsets[i + 1];
        for (int64_t p = first; p < last; ++p) gathered.push_back(weight[by_feature.entries[p]]);
        Kernels<scalar_t>().add_rows(gathered.data(), by_feature.rows.data() + first, last - first, in, width,
                                     sums + i * width);
      }
    });
  });
}

void AddSumsByFeature(const EntriesByFeature& by_feature, const at::Tensor& weights, at::Tensor& out) {
  AT_DISPATCH_FLOATING_TYPES(out.scalar_type(), "AddSumsByFeature", [&] {
    const scalar_t* weight = weights.data_ptr<scalar_t>();
    scalar_t* sums = out.data_ptr<scalar_t>();
    at::parallel_for(0, out.size(0), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t p = by_feature.offsets[i]; p < by_feature.offsets[i + 1]; ++p) {
          sums[i] += weight[by_feature.entries[p]];
        }
      }
    });
  });
}

}  // namespace lifescope
