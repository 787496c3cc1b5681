// How well a dictionary reconstructs activations, and how sparsely: metrics of a whole set of rows, from sums in
// double. Definitions: metric_definition.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/evaluation/bootstrap.h"

namespace lifescope {

// Columns of ReconstructionTerms before those of the activation itself.
enum class ReconstructionTerm : int64_t {
  kRows,
  kSquaredError,           // |e|^2, e = x - r
  kSquaredNorm,            // |x|^2
  kSquaredReconstruction,  // |r|^2
  kDot,                    // <x, r>
  kCosine,                 // 0 where x or r is 0
  kNorm,                   // |x|
  kReconstructionNorm,     // |r|
  kNormRatio,              // |r| / |x|; 0 where x is 0
  kErrorRatio,             // |e|^2 / |x|^2; 0 where x is 0
  kActive,                 // features f != 0
  kActivation,             // sum of |f|
  kCount
};

// What each row adds to the sums: DOUBLE [rows, ReconstructionTerm::kCount + width]; the last columns are x. `x` and
// `reconstruction` [rows, width], `features` [rows, features]. Throws c10::ValueError when they do not fit each other.
at::Tensor ReconstructionTerms(const at::Tensor& x, const at::Tensor& reconstruction, const at::Tensor& features);

// The mean of x, DOUBLE [width], from sums of ReconstructionTerms.
at::Tensor MeanActivation(const at::Tensor& sums);

// l0, l1, mse_sum, mse_mean, fvu, explained_variance, normalized_mse_uncentred, its mean of ratios, cosine, l2_norm_in,
// l2_norm_out, l2_ratio, relative_reconstruction_bias of the rows that were summed to `sums` [columns]; NaN where there
// is no row or nothing to divide by. `centre`: the mean that variance is about; undefined: that of the rows.
std::vector<Measurement> ReconstructionMetrics(const at::Tensor& sums, const at::Tensor& centre = {});

}  // namespace lifescope
