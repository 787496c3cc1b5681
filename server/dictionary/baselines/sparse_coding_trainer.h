#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lifescope {

struct SparseCodingTrainerOptions {
  int64_t activation_dim = 0;
  int64_t feature_count = 0;
  // The weight of the L1 term. When k is above 0 it is sought instead: from the first batch, then followed step by
  // step, so that k features of a row are active on average.
  double l1 = 0;
  int64_t k = 0;
  // Of the search for the codes of a batch.
  int64_t iterations = 60;
  double step_size = 0.005;
  // Keeps directions that are hardly used from leaping.
  double lowest_activation = 1e-3;
  uint64_t seed = 1;
  at::ScalarType dtype = at::kFloat;
};

struct SparseCodingStep {
  double fvu = 0;  // of this batch, before the step
  double l0 = 0;
};

// The reference's step (Yun et al. 2021): directions [n, width] move by step_size codes^T residual / batch, each
// divided by its mean squared code (the diagonal of the Hessian) + lowest_activation, and are brought to norm 1.
at::Tensor StepDirections(const at::Tensor& directions, const at::Tensor& codes, const at::Tensor& residual,
                          const at::Tensor& mean_squared_codes, double step_size, double lowest_activation);

// Learns directions of norm 1 for non-negative sparse coding, batch by batch: codes by search, then a step of the
// directions. Rows should be centred and of variance about 1 (l1 and lowest_activation are in their units). The mean
// squared code is that of the last 300 steps, more or less: an exponential mean, without the bias of its start.
// Directions start at random. Not thread-safe; deterministic for equal thread counts.
class SparseCodingTrainer {
 public:
  // Throws c10::ValueError when an option is out of range.
  explicit SparseCodingTrainer(const SparseCodingTrainerOptions& options);

  SparseCodingStep Step(const at::Tensor& rows);

  const at::Tensor& directions() const { return directions_; }  // [feature_count, activation_dim]
  double l1() const { return l1_; }

 private:
  const SparseCodingTrainerOptions options_;
  at::Tensor directions_;
  at::Tensor squared_codes_;  // [feature_count], exponential sum
  double squared_codes_weight_ = 0;
  double l1_;
  int64_t step_ = 0;
};

}  // namespace lifescope
