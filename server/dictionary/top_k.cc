#include "server/dictionary/top_k.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "server/dictionary/ranked_entry.h"

namespace lifescope {
namespace {

// Columns that are compared with the smallest kept value at once: the compiler vectorises the test of a block, and
// almost every block of a long row fails it.
constexpr int64_t kBlock = 32;

// On top of a heap of these is the one to give up first.
template <typename T>
using Entry = RankedEntry<T, int64_t>;

template <typename T>
void TopKOfRow(const T* row, int64_t columns, int64_t k, std::vector<Entry<T>>& heap, int64_t* out) {
  heap.clear();
  for (int64_t j = 0; j < k; ++j) heap.push_back({row[j], j});
  std::make_heap(heap.begin(), heap.end());
  for (int64_t begin = k; begin < columns; begin += kBlock) {
    const int64_t end = std::min(columns, begin + kBlock);
    const T limit = heap.front().value;
    int candidates = 0;
    for (int64_t j = begin; j < end; ++j) candidates += row[j] > limit;
    if (candidates == 0) continue;
    for (int64_t j = begin; j < end; ++j) {
      if (!(row[j] > heap.front().value)) continue;
      std::pop_heap(heap.begin(), heap.end());
      heap.back() = {row[j], j};
      std::push_heap(heap.begin(), heap.end());
    }
  }
  for (int64_t j = 0; j < k; ++j) out[j] = heap[j].index;
  std::sort(out, out + k);
}

}  // namespace

at::Tensor TopKIndices(const at::Tensor& values, int64_t k) {
  TORCH_CHECK_VALUE(values.dim() == 2 && k >= 0 && k <= values.size(1), "top-k: k is ", k, " for values of shape ",
                    values.sizes());
  if (!values.is_cpu()) {
    const at::Tensor indices = std::get<1>(at::topk(values.detach(), k, 1, /*largest=*/true, /*sorted=*/false));
    return std::get<0>(indices.sort(1));
  }
  const at::Tensor input = values.detach().contiguous();
  const int64_t columns = input.size(1);
  at::Tensor indices = at::empty({input.size(0), k}, at::kLong);
  if (k == 0) return indices;
  AT_DISPATCH_FLOATING_TYPES(input.scalar_type(), "TopKIndices", [&] {
    const scalar_t* in = input.data_ptr<scalar_t>();
    int64_t* out = indices.data_ptr<int64_t>();
    at::parallel_for(0, input.size(0), 16, [&](int64_t begin, int64_t end) {
      std::vector<Entry<scalar_t>> heap;
      for (int64_t r = begin; r < end; ++r) TopKOfRow(in + r * columns, columns, k, heap, out + r * k);
    });
  });
  return indices;
}

}  // namespace lifescope
