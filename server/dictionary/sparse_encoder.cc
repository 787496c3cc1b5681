#include "server/dictionary/sparse_encoder.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <limits>
#include <type_traits>
#include <vector>

#include "server/dictionary/ranked_entry.h"
#include "server/vector/bfloat16_products.h"
#include "server/vector/vector_kernels.h"

namespace lifescope {
namespace {

// Pre-activations exist for a tile of so many rows and features at once: it stays in the cache of the core that makes
// it until those to be kept are found.
constexpr int64_t kTileRows = 512;
constexpr int64_t kTileFeatures = 560;

// The index is a feature.
template <typename T>
using Entry = RankedEntry<T, int32_t>;

// The entries of one row that are to be kept so far; features ascending, but for those that TopK has reordered.
template <typename T>
struct RowEntries {
  std::vector<Entry<T>> entries;
  T limit = 0;
};

// Entries above bounds[feature].
template <typename T>
class KeepAbove {
 public:
  explicit KeepAbove(const T* bounds) : bounds_(bounds) {}
  int64_t Find(const RowEntries<T>&, const T* values, const T* bias, int64_t first, int64_t count,
               int32_t* found) const {
    return Kernels<T>().find_above_each(values, bias + first, bounds_ + first, count, found);
  }
  void AfterTile(RowEntries<T>&) const {}
  void AfterRow(RowEntries<T>&) const {}

 private:
  const T* bounds_;
};

// The k largest above 0. Those that cannot be among them are given up when they are as many as those that can.
template <typename T>
class KeepLargest {
 public:
  explicit KeepLargest(int64_t k) : k_(k) {}
  int64_t Find(const RowEntries<T>& row, const T* values, const T* bias, int64_t first, int64_t count,
               int32_t* found) const {
    return Kernels<T>().find_above(values, bias + first, row.limit, count, found);
  }
  void AfterTile(RowEntries<T>& row) const {
    if (static_cast<int64_t>(row.entries.size()) > 2 * k_) Shrink(row);
  }
  void AfterRow(RowEntries<T>& row) const {
    if (static_cast<int64_t>(row.entries.size()) > k_) Shrink(row);
    std::sort(row.entries.begin(), row.entries.end(),
              [](const Entry<T>& a, const Entry<T>& b) { return a.index < b.index; });
  }

 private:
  void Shrink(RowEntries<T>& row) const {
    if (k_ == 0) {
      row.entries.clear();
      row.limit = std::numeric_limits<T>::infinity();
      return;
    }
    std::nth_element(row.entries.begin(), row.entries.begin() + (k_ - 1), row.entries.end());
    row.entries.resize(k_);
    row.limit = row.entries.back().value;
  }

  int64_t k_;
};

// The entries of some rows, one row after the other.
template <typename T>
struct Part {
  std::vector<int64_t> counts;
  std::vector<Entry<T>> entries;
};

template <typename T>
SparseActivations Join(const std::vector<Part<T>>& parts, int64_t rows, int64_t feature_count, at::ScalarType dtype) {
  SparseActivations active;
  active.feature_count = feature_count;
  active.row_offsets = at::empty({rows + 1}, at::kLong);
  int64_t* offset = active.row_offsets.template data_ptr<int64_t>();
  *offset = 0;
  std::vector<int64_t> first{0};
  for (const Part<T>& part : parts) {
    for (const int64_t count : part.counts) {
      offset[1] = offset[0] + count;
      ++offset;
    }
    first.push_back(*offset);
  }
  active.features = at::empty({first.back()}, at::kInt);
  active.values = at::empty({first.back()}, dtype);
  int32_t* features = active.features.template data_ptr<int32_t>();
  T* values = active.values.template data_ptr<T>();
  at::parallel_for(0, static_cast<int64_t>(parts.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      int64_t e = first[p];
      for (const Entry<T>& entry : parts[p].entries) {
        features[e] = entry.index;
        values[e++] = entry.value;
      }
    }
  });
  return active;
}

// Small batches are cut as well, so that threads have something to do. Cuts do not depend on their number.
int64_t RowsOfTile(int64_t rows) { return std::clamp<int64_t>((rows + 7) / 8, 16, kTileRows); }

// Products of some rows, from `row` on, with some features, from `feature` on: out [rows, features]. By a BLAS that is
// single-threaded in parallel regions.
class BlasProducts {
 public:
  BlasProducts(const at::Tensor& rows, const at::Tensor& encoder) : rows_(rows), encoder_(encoder) {}
  void Write(int64_t row, int64_t feature, at::Tensor& out) const {
    at::mm_out(out, rows_.narrow(0, row, out.size(0)), encoder_.narrow(0, feature, out.size(1)).t());
  }

 private:
  const at::Tensor &rows_, &encoder_;
};

// The same of bfloat16 numbers, by instructions for them.
class Bfloat16TileProducts {
 public:
  Bfloat16TileProducts(const at::Tensor& rows, const at::Tensor& encoder)
      : left_(PairsOf(rows)), right_(PairsOf(encoder)) {
    const int64_t missing = (kBfloat16Group - right_.size(0) % kBfloat16Group) % kBfloat16Group;
    right_ = at::constant_pad_nd(right_, {0, 0, 0, missing});
    right_ = right_.view({-1, kBfloat16Group, right_.size(1)}).transpose(1, 2).contiguous();
  }
  void Write(int64_t row, int64_t feature, at::Tensor& out) const {
    static_assert(kTileFeatures % kBfloat16Group == 0);
    const int64_t pairs = left_.size(1);
    Bfloat16Products(left_.data_ptr<int32_t>() + row * pairs, out.size(0), right_.data_ptr<int32_t>() + feature * pairs,
                     out.size(1), pairs, out.data_ptr<float>());
  }

 private:
  // INT32 [rows, pairs of columns].
  static at::Tensor PairsOf(const at::Tensor& matrix) {
    return at::constant_pad_nd(matrix.to(at::kBFloat16), {0, matrix.size(1) % 2}).contiguous().view(at::kInt);
  }

  at::Tensor left_, right_;
};

// Each tile of rows is one thread's, from its products to the entries that `keep` leaves.
template <typename T, typename Keep, typename Products>
SparseActivations EncodeTiles(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias,
                              const Keep& keep, const Products& source) {
  const int64_t row_count = rows.size(0), feature_count = encoder.size(0);
  const int64_t tile_rows = RowsOfTile(row_count);
  const T* bias_values = bias.data_ptr<T>();
  std::vector<Part<T>> parts((row_count + tile_rows - 1) / tile_rows);
  at::parallel_for(0, static_cast<int64_t>(parts.size()), 1, [&](int64_t begin, int64_t end) {
    const c10::NoGradGuard no_grad;
    const at::Tensor buffer = at::empty({tile_rows * kTileFeatures}, rows.options());
    const T* products = buffer.data_ptr<T>();
    std::vector<int32_t> found(kTileFeatures);
    std::vector<RowEntries<T>> kept(tile_rows);
    for (int64_t p = begin; p < end; ++p) {
      const int64_t count = std::min(tile_rows, row_count - p * tile_rows);
      for (RowEntries<T>& row : kept) {
        row.entries.clear();
        row.limit = 0;
      }
      for (int64_t first = 0; first < feature_count; first += kTileFeatures) {
        const int64_t width = std::min(kTileFeatures, feature_count - first);
        at::Tensor out = buffer.narrow(0, 0, count * width).view({count, width});
        source.Write(p * tile_rows, first, out);
        for (int64_t r = 0; r < count; ++r) {
          const T* values = products + r * width;
          const int64_t matches = keep.Find(kept[r], values, bias_values, first, width, found.data());
          for (int64_t i = 0; i < matches; ++i) {
            const int64_t feature = first + found[i];
            kept[r].entries.push_back({values[found[i]] + bias_values[feature], static_cast<int32_t>(feature)});
          }
          keep.AfterTile(kept[r]);
        }
      }
      for (int64_t r = 0; r < count; ++r) {
        keep.AfterRow(kept[r]);
        parts[p].counts.push_back(static_cast<int64_t>(kept[r].entries.size()));
        parts[p].entries.insert(parts[p].entries.end(), kept[r].entries.begin(), kept[r].entries.end());
      }
    }
  });
  return Join(parts, row_count, feature_count, rows.scalar_type());
}

template <typename T, typename Keep>
SparseActivations Encode(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias, Matmul matmul,
                         const Keep& keep) {
  if constexpr (std::is_same_v<T, float>) {
    if (matmul == Matmul::kBfloat16 && HasBfloat16Products()) {
      return EncodeTiles<T>(rows, encoder, bias, keep, Bfloat16TileProducts(rows, encoder));
    }
  }
  return EncodeTiles<T>(rows, encoder, bias, keep, BlasProducts(rows, encoder));
}

// A bound that most of the `count` largest pre-activations of all rows are above, and not many others: that of twice
// their share of a sample of the rows.
template <typename T>
T SampledBound(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias, int64_t count) {
  constexpr int64_t kSampleRows = 64;
  if (rows.size(0) < 4 * kSampleRows) return 0;
  const at::Tensor chosen = at::arange(kSampleRows, at::kLong) * (rows.size(0) / kSampleRows);
  const at::Tensor sample = at::addmm(bias, rows.index_select(0, chosen), encoder.t());
  std::vector<T> positive;
  const T* values = sample.data_ptr<T>();
  std::copy_if(values, values + sample.numel(), std::back_inserter(positive), [](T value) { return value > 0; });
  const int64_t rank = 2 * count * kSampleRows / rows.size(0);
  if (rank >= static_cast<int64_t>(positive.size())) return 0;
  std::nth_element(positive.begin(), positive.begin() + rank, positive.end(), std::greater<T>());
  return positive[rank];
}

// Of entries in order, the `count` largest; equal values go to the earlier.
template <typename T>
SparseActivations KeepLargestEntries(const SparseActivations& active, int64_t count) {
  SparseActivations out;
  out.feature_count = active.feature_count;
  out.row_offsets = at::empty({active.rows() + 1}, at::kLong);
  out.features = at::empty({count}, at::kInt);
  out.values = at::empty({count}, active.values.options());
  const T* values = active.values.data_ptr<T>();
  const int32_t* features = active.features.data_ptr<int32_t>();
  const int64_t* offsets = active.row_offsets.data_ptr<int64_t>();
  T limit = std::numeric_limits<T>::infinity();
  int64_t equal = 0;  // how many of those that are equal to the limit are kept
  if (count > 0) {
    std::vector<T> order(values, values + active.values.numel());
    std::nth_element(order.begin(), order.begin() + (count - 1), order.end(), std::greater<T>());
    limit = order[count - 1];
    equal = count - std::count_if(order.begin(), order.begin() + count, [&](T value) { return value > limit; });
  }
  int64_t* kept_offsets = out.row_offsets.data_ptr<int64_t>();
  int32_t* kept_features = out.features.data_ptr<int32_t>();
  T* kept_values = out.values.data_ptr<T>();
  int64_t kept = 0;
  kept_offsets[0] = 0;
  for (int64_t r = 0; r < active.rows(); ++r) {
    for (int64_t e = offsets[r]; e < offsets[r + 1]; ++e) {
      if (!(values[e] > limit) && !(values[e] == limit && equal-- > 0)) continue;
      kept_features[kept] = features[e];
      kept_values[kept++] = values[e];
    }
    kept_offsets[r + 1] = kept;
  }
  return out;
}

}  // namespace

SparseActivations EncodeTopK(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias, int64_t k,
                             Matmul matmul) {
  SparseActivations active;
  AT_DISPATCH_FLOATING_TYPES(rows.scalar_type(), "EncodeTopK",
                             [&] { active = Encode<scalar_t>(rows, encoder, bias, matmul, KeepLargest<scalar_t>(k)); });
  return active;
}

SparseActivations EncodeAbove(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias,
                              const at::Tensor& bound, Matmul matmul) {
  SparseActivations active;
  AT_DISPATCH_FLOATING_TYPES(rows.scalar_type(), "EncodeAbove", [&] {
    const at::Tensor bounds = bound.contiguous();
    active = Encode<scalar_t>(rows, encoder, bias, matmul, KeepAbove<scalar_t>(bounds.data_ptr<scalar_t>()));
  });
  return active;
}

SparseActivations EncodeBatchTopK(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias,
                                  int64_t count, Matmul matmul) {
  SparseActivations active;
  AT_DISPATCH_FLOATING_TYPES(rows.scalar_type(), "EncodeBatchTopK", [&] {
    const scalar_t bound = SampledBound<scalar_t>(rows, encoder, bias, count);
    active = EncodeAbove(rows, encoder, bias, at::full_like(bias, bound), matmul);
    if (bound > 0 && active.values.numel() < count) {
      active = EncodeAbove(rows, encoder, bias, at::zeros_like(bias), matmul);
    }
    if (active.values.numel() > count) active = KeepLargestEntries<scalar_t>(active, count);
  });
  return active;
}

}  // namespace lifescope
