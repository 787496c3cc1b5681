// Feature absorption (Chanin et al. 2024, arXiv:2409.14507; thresholds and partial absorption as in SAEBench): where
// the features that stand for a concept stay silent although it holds, and other, more special features carry its
// direction instead. A row has activation x, codes f; a concept has a probe direction p (unit norm here) and main
// features. With c_i = f_i cos(W_dec[i], p), m = sum of c over the main features, P = <x, p>, and A = sum of the (at
// most) 3 largest c_i > 0 of other features with cos >= 0.1:
//   fraction = 0 if P <= 0, m >= P or A / P < 0.4;  1 if m <= 0;  else u / (u + m), u = min(A, P - m)
//   full     = all main |f| < 1e-8, and of the feature with the largest c: cos >= 0.025, P > 0, c / P >= 0.4
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/dictionary/dictionary.h"

namespace lifescope {

struct AbsorptionOptions {
  double min_cosine_full = 0.025;
  double min_cosine_partial = 0.1;
  double min_projection_share = 0.4;
  int64_t max_absorbers = 3;
};

struct Absorption {
  at::Tensor fraction;          // DOUBLE [rows]
  at::Tensor is_full;           // BOOL [rows]
  at::Tensor probe_projection;  // DOUBLE [rows]: P

  // Over the rows; NaN of none.
  double mean_fraction() const;
  double full_rate() const;
};

// `x` [rows, d] and their `codes`, `directions` [features, d] (decoder rows of any norm), `probe` [d]. The rows should
// be those of the concept on which the probe is right. Throws c10::ValueError when shapes do not fit, the probe is 0,
// or a main feature is out of range.
Absorption MeasureAbsorption(const at::Tensor& x, const SparseActivations& codes, const at::Tensor& directions,
                             const at::Tensor& probe, const std::vector<int64_t>& main_features,
                             const AbsorptionOptions& options = {});

}  // namespace lifescope
