#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lifescope {

// Mean and covariance of rows that come in batches, in float64 (Chan, Golub & LeVeque 1979). Holds width^2 numbers and
// no row. Not thread-safe.
class RunningCovariance {
 public:
  // rows [at least 1, width]; the width is that of the first batch.
  void Add(const at::Tensor& rows);

  int64_t row_count() const { return row_count_; }
  // Both need at least one row. The covariance is that of a population: divided by the number of rows.
  const at::Tensor& mean() const { return mean_; }  // [width]
  at::Tensor covariance() const;                    // [width, width]

 private:
  int64_t row_count_ = 0;
  at::Tensor mean_, scatter_;  // the scatter: sum over rows of (x - mean)(x - mean)^T
};

// Principal directions: eigenvectors of a covariance [width, width].
struct PrincipalDirections {
  at::Tensor eigenvalues;  // [width], descending
  at::Tensor directions;   // [width, width]: a row each, of norm 1; its largest entry is positive
};
PrincipalDirections PrincipalDirectionsOf(const at::Tensor& covariance);

}  // namespace lifescope
