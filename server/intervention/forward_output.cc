#include "server/intervention/forward_output.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "server/intervention/edit.h"
#include "server/intervention/target.h"

namespace lifescope {

const at::Tensor& ForwardOutput::Captured(const HookPoint& point) const {
  return std::find_if(captured.begin(), captured.end(), [&](const auto& entry) { return entry.first == point; })
      ->second;
}

at::Tensor ForwardOutput::Rows(const HookPoint& point, size_t row) const {
  const RowRange range = RowsAt(point, offsets, row);
  return Captured(point).narrow(0, range.begin, range.count).flatten(1);
}

RowRange RowsAt(const HookPoint& point, const std::vector<int64_t>& offsets, size_t row) {
  if (IsOnePerDocument(point)) return {static_cast<int64_t>(row), 1};
  return {offsets[row], offsets[row + 1] - offsets[row]};
}

at::Tensor AtPositions(const at::Tensor& rows, const DocumentVariant& variant, int64_t length) {
  std::vector<int64_t> shape = rows.sizes().vec();
  shape[0] = length;
  const at::Tensor all = at::full(shape, std::numeric_limits<double>::quiet_NaN(), rows.options());
  return all.index_copy_(0, IndexTensor(variant.original, rows.device()), rows);
}

}  // namespace lifescope
