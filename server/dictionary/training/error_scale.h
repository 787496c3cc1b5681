#pragma once

#include <ATen/core/Tensor.h>

namespace lifescope {

// What a summed squared error is divided by. References differ, and with them what a coefficient beside it means.
enum class ErrorScale {
  kRows,       // mean over rows of the sum over dimensions (dictionary_learning, SAELens)
  kElements,   // mean over rows and dimensions (OpenAI, BatchTopK's authors)
  kDeviation,  // the squared deviation of the rows from their mean: the fraction of variance unexplained (sparsify)
};

// Sum of all squares, in double.
double SquaredNorm(const at::Tensor& rows);

// The factor that brings the summed squared error of a reconstruction of `rows` to `scale`. Infinite or NaN for
// kDeviation when all rows are equal.
double FactorOf(ErrorScale scale, const at::Tensor& rows);

}  // namespace lifescope
