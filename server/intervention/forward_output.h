// What the forward pass of a batch of documents leaves behind for reads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "server/intervention/document_edit.h"
#include "server/model/attention_edges.h"
#include "server/model/hook_point.h"

namespace lifescope {

// Rows of one document in a batch's activation.
struct RowRange {
  int64_t begin = 0;
  int64_t count = 0;
};
// Where they are at a hook point; document `row` has the tokens offsets[row] .. offsets[row + 1).
RowRange RowsAt(const HookPoint& point, const std::vector<int64_t>& offsets, size_t row);

// What the forward pass of a batch left behind.
struct ForwardOutput {
  at::Tensor final;  // [tokens, hidden]
  std::vector<int64_t> offsets;
  std::vector<int64_t> slots;         // of each token in its document, as PackedBatch::position
  std::vector<AttentionEdges> edges;  // that were changed
  // As Run::heads, [documents, targets, classes]; empty when the pass ended before the last layer.
  std::vector<at::Tensor> class_probabilities;
  // Whole batch; after the edits.
  std::vector<std::pair<HookPoint, at::Tensor>> captured;

  const at::Tensor& Captured(const HookPoint& point) const;
  // Rows of one document of the batch, flattened: [rows, channels].
  at::Tensor Rows(const HookPoint& point, size_t row) const;
};

// Rows [rows, ...] of a document that was edited, at the `length` positions that it has in the run; NaN where a
// position is gone. Always a copy.
at::Tensor AtPositions(const at::Tensor& rows, const DocumentVariant& variant, int64_t length);

}  // namespace lifescope
