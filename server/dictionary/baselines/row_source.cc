#include "server/dictionary/baselines/row_source.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <vector>

namespace lifescope {

at::Tensor NextRows(const RowSource& source, int64_t width) {
  const at::Tensor rows = source();
  if (!rows.defined()) return rows;
  TORCH_CHECK_VALUE(rows.dim() == 2 && rows.numel() > 0, "rows have shape ", rows.sizes(), ", expected [rows, width]");
  TORCH_CHECK_VALUE(width == 0 || rows.size(1) == width, "rows have width ", rows.size(1), ", those before had ",
                    width);
  TORCH_CHECK_VALUE(rows.scalar_type() == at::kFloat || rows.scalar_type() == at::kDouble, "rows are ",
                    rows.scalar_type(), ", expected Float or Double");
  TORCH_CHECK_VALUE(at::isfinite(rows).all().item<bool>(), "rows have a value that is NaN or infinite");
  return rows;
}

at::Tensor TakeRows(const RowSource& source, int64_t limit) {
  std::vector<at::Tensor> parts;
  int64_t count = 0;
  while (count < limit) {
    const at::Tensor rows = NextRows(source, parts.empty() ? 0 : parts.front().size(1));
    if (!rows.defined()) break;
    parts.push_back(rows.narrow(0, 0, std::min(rows.size(0), limit - count)));
    count += parts.back().size(0);
  }
  TORCH_CHECK_VALUE(!parts.empty(), "there is no row to fit, expected at least 1");
  return at::cat(parts);
}

}  // namespace lifescope
