#include "server/intervention/forward_output.h"

#include <algorithm>

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

}  // namespace lifescope
