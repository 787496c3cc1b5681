// Sums of what rows add to metrics, by person and by subgroup.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lifescope {

// Not thread-safe.
class TermSums {
 public:
  TermSums(int64_t persons, int64_t groups) : persons_(persons), groups_(groups) {}

  // `terms` DOUBLE [rows, terms], with the person and the groups of each row.
  void Add(const at::Tensor& terms, const std::vector<int64_t>& person,
           const std::vector<std::vector<int64_t>>& groups);

  // DOUBLE [persons or groups, terms]; undefined before the first Add.
  const at::Tensor& by_person() const { return by_person_; }
  const at::Tensor& by_group() const { return by_group_; }

 private:
  int64_t persons_, groups_;
  at::Tensor by_person_, by_group_;
};

}  // namespace lifescope
