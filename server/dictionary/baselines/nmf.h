#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "server/dictionary/baselines/row_source.h"

namespace lifescope {

enum class NmfUpdate {
  kCoordinate,      // coordinate descent (Cichocki & Phan 2009); the better fit in the same time
  kMultiplicative,  // Lee & Seung 2001
};

struct NmfOptions {
  int64_t component_count = 0;  // 1 to the width; at most the number of rows
  int64_t iterations = 200;     // at most
  // Ends when 10 iterations lower the error by less than this share of the first error. 0: never.
  double tolerance = 1e-4;
  NmfUpdate update = NmfUpdate::kCoordinate;
};

// rows - shift = codes components, all of them >= 0.
struct NmfFit {
  at::Tensor components;  // [component_count, width]
  double shift = 0;       // the smallest value of the rows
  // |rows - shift - codes components|, over all rows.
  double reconstruction_error = 0;
  int64_t iterations = 0;
};

// Non-negative matrix factorisation of rows [rows, width] that are shifted by their smallest value, in float64, from
// the start NNDSVDa (Boutsidis & Gallopoulos 2008). Rows are held in memory several times. Deterministic. Throws
// c10::ValueError when an option is out of range.
NmfFit FitNmf(const at::Tensor& rows, const NmfOptions& options, const FitProgress& progress = {});

}  // namespace lifescope
