// Edits of a dictionary's features and of its reconstruction error, made on one encoding of the activation.
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

// Edits of one dictionary that are one change: each list applies in order.
struct DictionaryEdits {
  ErrorMode error_mode = ErrorMode::kDelta;
  std::vector<CellEdit> features;  // channels are feature indices
  std::vector<CellEdit> error;     // channels are those of the hook point; with kDelta alone
  // kFrozenError: the clean rows of the document, beside those that the change is given.
  at::Tensor clean = {};
};

// x + decode(f') - decode(f) + e' - e, where f and e are the features and the error of x; kReplace: decode(f'). Rows
// where nothing changes keep their bits. Holds a reference to the dictionary.
RowChange DictionaryChange(const Dictionary& dictionary, DictionaryEdits edits);

}  // namespace lifescope
