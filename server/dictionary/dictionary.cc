#include "server/dictionary/dictionary.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "server/dictionary/sparse_rows.h"

namespace lifescope {

SparseActivations EncodeSparse(const Dictionary& dictionary, const at::Tensor& x) {
  constexpr int64_t kRowsAtOnce = 512;
  TORCH_CHECK_VALUE(x.dim() == 2, "x has shape ", x.sizes(), ", expected [rows, ", dictionary.activation_dim(), "]");
  std::vector<SparseActivations> parts;
  int64_t row = 0;
  do {
    const int64_t count = std::min(kRowsAtOnce, x.size(0) - row);
    parts.push_back(KeepNonZero(dictionary.Encode(x.narrow(0, row, count))));
    row += count;
  } while (row < x.size(0));
  return Concatenate(parts);
}

}  // namespace lifescope
