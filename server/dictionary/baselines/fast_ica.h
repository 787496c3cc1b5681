#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "server/dictionary/baselines/row_source.h"

namespace lifescope {

struct IcaOptions {
  int64_t iterations = 200;  // at most
  // Ends when no component's direction changes by more: the largest 1 - |cosine| from one iteration to the next.
  double tolerance = 1e-4;
  uint64_t seed = 1;
  // [components, components], where the rotation starts; undefined: standard normal from the seed.
  at::Tensor initial_rotation = {};
};

// Independent components: codes = (x - mean) / scale unmixing^T have variance 1 and are uncorrelated;
// x = mean + scale (codes mixing^T), exactly when there are as many components as the rows have rank.
struct IcaFit {
  at::Tensor mean, scale;  // [width]; the scale is the standard deviation, 1 where that is 0
  at::Tensor unmixing;     // [components, width]
  at::Tensor mixing;       // [width, components]
  int64_t iterations = 0;
  double change = 0;  // of the last iteration; above the tolerance when it did not converge
};

// FastICA (Hyvarinen 1999), symmetric, contrast log cosh, on standardised and whitened rows [rows, width], in float64.
// There are as many components as directions in which the rows vary (more than 1e-10 of the largest variance). Rows are
// held in memory several times. Throws c10::ValueError when fewer than 2 rows differ.
IcaFit FitIca(const at::Tensor& rows, const IcaOptions& options, const FitProgress& progress = {});

}  // namespace lifescope
