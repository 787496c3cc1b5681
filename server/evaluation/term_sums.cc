#include "server/evaluation/term_sums.h"

#include <ATen/ATen.h>

namespace lifescope {

void TermSums::Add(const at::Tensor& terms, const std::vector<int64_t>& person,
                   const std::vector<std::vector<int64_t>>& groups) {
  if (!by_person_.defined()) {
    by_person_ = at::zeros({persons_, terms.size(1)}, at::kDouble);
    by_group_ = at::zeros({groups_, terms.size(1)}, at::kDouble);
  }
  by_person_.index_add_(0, at::tensor(person, at::kLong), terms);
  std::vector<int64_t> rows, of;
  for (size_t row = 0; row < groups.size(); ++row) {
    for (const int64_t group : groups[row]) {
      rows.push_back(static_cast<int64_t>(row));
      of.push_back(group);
    }
  }
  if (rows.empty()) return;
  by_group_.index_add_(0, at::tensor(of, at::kLong), terms.index_select(0, at::tensor(rows, at::kLong)));
}

}  // namespace lifescope
