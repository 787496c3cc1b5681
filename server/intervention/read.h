// Taking a run's reads from a finished forward pass.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "server/intervention/clean_values.h"
#include "server/intervention/run.h"
#include "server/model/transformer.h"

namespace lifescope {

// One pass of one document.
struct ForwardRow {
  int64_t document = 0;
  // Index into Run::interventions; -1: clean.
  int64_t intervention = -1;
  // Where its reads go.
  DocumentResult* result = nullptr;
  // Layers that it takes from the document's clean run instead of running them.
  int64_t shared_layers = 0;
};

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
  // As Run::heads, [documents, targets, classes]; empty when the pass ended before the last layer.
  std::vector<at::Tensor> class_probabilities;
  // Whole batch; after the edits.
  std::vector<std::pair<HookPoint, at::Tensor>> captured;

  // Rows of one document of the batch, flattened: [rows, channels].
  at::Tensor Rows(const HookPoint& point, size_t row) const;
};

// Layers that must run so that a hook point is passed.
int64_t LayersThrough(const HookPoint& point, int64_t n_encoders);
// Layers that the document's reads need, or -1 when no read covers it.
int64_t LayersForReads(const Run& run, int64_t document, int64_t n_encoders);
// Hook points that the document's reads need.
std::vector<HookPoint> PointsForReads(const Run& run, int64_t document);

// Fills the result of every row with the reads that cover its document, in the order of Run::reads.
void TakeReads(const Run& run, const Transformer& model, const CleanValues& clean, const std::vector<ForwardRow>& rows,
               const ForwardOutput& output);

}  // namespace lifescope
