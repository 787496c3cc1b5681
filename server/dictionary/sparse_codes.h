// Sparse codes of rows over fixed directions, by iteration: what a linear encoder only approximates.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lifescope {

// How iterative shrinkage goes from one guess to the next.
enum class Momentum {
  kNone,       // ISTA (Daubechies et al. 2004)
  kFista,      // FISTA (Beck & Teboulle 2009), as Yun et al. 2021 (transformer factors, arXiv:2103.15949) run it
  kRestarted,  // FISTA whose momentum starts anew, row by row, where it points uphill (O'Donoghue & Candes 2015)
};

struct ShrinkageOptions {
  double l1 = 0;  // in units of the rows; 0: non-negative least squares
  int64_t iterations = 100;
  Momentum momentum = Momentum::kRestarted;
  // false: codes of both signs.
  bool is_non_negative = true;
};

// The largest eigenvalue of directions^T directions, for directions [n, width]: the inverse of the longest safe step.
double LargestEigenvalue(const at::Tensor& directions);

// argmin over a >= 0 of 1/2 |x - a directions|^2 + l1 sum |a|, as near as the iterations come: x [rows, width] and
// directions [n, width] of one dtype -> [rows, n]. A row's codes do not depend on the other rows but for rounding.
// `largest_eigenvalue` is that of the directions. Throws c10::ValueError when an option is out of range or the
// eigenvalue is not above 0 (directions of zeros).
at::Tensor ShrinkageCodes(const at::Tensor& x, const at::Tensor& directions, double largest_eigenvalue,
                          const ShrinkageOptions& options);

// Non-negative gradient pursuit (Blumensath & Davies 2008, as Smith 2024 applies it to dictionaries): k times, the
// direction with the largest inner product with what is left joins the active ones, and all active weights take the
// best step along their gradient, clipped at 0. At most k weights of a row are above 0. -> [rows, n].
at::Tensor GradientPursuitCodes(const at::Tensor& x, const at::Tensor& directions, int64_t k);

}  // namespace lifescope
