// A source whose row i is [i, i + 1, i + 2, ...]: what becomes of each row can be told.
#pragma once

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "server/training/activation_source.h"

namespace lifescope {

class CountingSource final : public ActivationSource {
 public:
  explicit CountingSource(std::vector<ActivationSite> sites) : sites_(std::move(sites)) {}

  const std::vector<ActivationSite>& sites() const override { return sites_; }
  at::Tensor Next(int64_t rows) override {
    const at::Tensor result = Peek(rows);
    next_ += rows;
    return result;
  }
  at::Tensor Peek(int64_t rows) override {
    return at::arange(next_, next_ + rows, at::kFloat).unsqueeze(1) + at::arange(TotalWidth(sites_), at::kFloat);
  }
  SavedState State() const override { return {{"next", Int64Tensor({next_})}}; }
  void Restore(const SavedState& state) override { next_ = Int64Values(state, "next", 1)[0]; }
  int64_t rows_served() const override { return next_; }
  int64_t epoch_rows() const override { return 1000; }

 private:
  std::vector<ActivationSite> sites_;
  int64_t next_ = 0;
};

}  // namespace lifescope
