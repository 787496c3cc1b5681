// Taking a run's reads from a finished forward pass.
#pragma once

#include <cstdint>
#include <vector>

#include "server/intervention/clean_values.h"
#include "server/intervention/forward_output.h"
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
  // The document as its document edits leave it; null: as it is in the run.
  const DocumentVariant* variant = nullptr;
};

// Fills the result of every row with the reads that cover its document, in the order of Run::reads.
void TakeReads(const Run& run, const Transformer& model, const CleanValues& clean, const std::vector<ForwardRow>& rows,
               const ForwardOutput& output);

}  // namespace lifescope
