// The run engine: executes a Run on a model. It knows only Run; encode, ablation and patching are constructors of it.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>

#include "server/intervention/run.h"
#include "server/model/transformer.h"

namespace lifescope {

// Thrown out of Execute when ExecuteOptions::cancelled said so.
class Cancelled : public std::runtime_error {
 public:
  Cancelled() : std::runtime_error("cancelled") {}
};

struct ExecuteOptions {
  // Asked between layers and between batches; true stops the run with Cancelled.
  std::function<bool()> cancelled;
  // (forwards done, forwards in all), after every batch. A forward is one pass of one document.
  std::function<void(int64_t done, int64_t total)> on_progress;
  // Packed tokens of one batch; a longer document runs alone.
  int64_t batch_tokens = 16384;
  // Memory for residual streams of clean runs, so that edited runs start at the first layer that an edit or a read
  // touches. When it is used up, the others start at the tokens: the numbers are the same.
  int64_t shared_bytes = int64_t{1} << 30;
  // Memory for values of finished runs that edits, scopes and reads take. A run that needs more is refused.
  int64_t kept_bytes = int64_t{4} << 30;
};

// Checks everything that can be checked before any compute. Throws c10::ValueError or c10::IndexError whose message
// starts with the field's path ("interventions[0].edits[1].features.features[3]: 9000, expected 0 <= feature < 2240").
void ValidateRun(const Run& run, const Transformer& model);

// Validates and checks against kept_bytes (c10::ValueError naming both), then runs every document clean and every
// intervention's documents with its edits, batched over all of them (packed; edits are per row), with only the layers
// that the reads need: edited runs share those before their first edit with the clean run. Thread-safe: the model and
// the dictionaries are const. Runs without recording gradients.
RunResult Execute(const Run& run, const Transformer& model, const ExecuteOptions& options = {});

}  // namespace lifescope
