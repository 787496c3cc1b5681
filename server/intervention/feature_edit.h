// Edits of dictionary features: encode once, change columns, write the change (DELTA) or the reconstruction (REPLACE).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "server/dictionary/dictionary.h"
#include "server/intervention/edit.h"
#include "server/intervention/run.h"

namespace lifescope {

// Calls `visit(begin, size)` over [0, rows), in chunks whose dense feature matrix is of bounded size.
void ForEachChunk(int64_t rows, int64_t feature_count, const std::function<void(int64_t begin, int64_t size)>& visit);

// Activations of some features: [rows, activation_dim] -> [rows, features].
at::Tensor EncodeFeatures(const Dictionary& dictionary, const at::Tensor& x, const std::vector<int64_t>& features);

// One change made of feature edits (channels are feature indices), applied in order to the features of one encoding.
// Holds a reference to the dictionary.
RowChange FeatureChange(const Dictionary& dictionary, ErrorMode error_mode, std::vector<CellEdit> edits);

}  // namespace lifescope
