// Edits of one document, compiled: everything that can be known before the edited forward pass.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "server/intervention/clean_values.h"
#include "server/intervention/document_edit.h"
#include "server/intervention/run.h"
#include "server/model/transformer.h"

namespace lifescope {

// New values for the cells positions x channels of a matrix: of activations, of features, of errors or of projections.
struct CellEdit {
  enum class Operation { kSet, kScale, kAdd, kCap, kFloor };

  std::vector<int64_t> positions;  // ascending rows of the document
  std::vector<int64_t> channels;
  Operation operation = Operation::kSet;
  // [1], [channels] or [positions, channels]; of the run's dtype, on its device.
  at::Tensor values;

  // What the cells of the positions [begin, begin + count) of the list become.
  at::Tensor NewValues(const at::Tensor& present, int64_t begin, int64_t count) const;
};

// Writes the edit's positions [begin, begin + count) into `matrix`, whose row and column of each cell are given.
void WriteCells(const CellEdit& edit, int64_t begin, int64_t count, const std::vector<int64_t>& rows,
                const std::vector<int64_t>& columns, const at::Tensor& matrix);

// INT64 on a device.
at::Tensor IndexTensor(const std::vector<int64_t>& values, at::Device device);

// Changes a document's rows [positions, channels] of one hook point in place; rows that it does not edit keep their
// bits.
using RowChange = std::function<void(const at::Tensor& rows)>;

struct PlacedChange {
  HookPoint hook_point;
  RowChange change;
};

// What an intervention (an index into Run::interventions) does to a document's activations, in order; edge_edit.h has
// what it does to attention edges. `variant`: the document as its document edits leave it, or null. Changes hold
// references into `run`. Throws c10::ValueError naming the edit when a unit has no size.
std::vector<PlacedChange> CompileChanges(const Run& run, int64_t intervention, int64_t document,
                                         const DocumentVariant* variant, const Transformer& model, CleanValues& clean);

}  // namespace lifescope
