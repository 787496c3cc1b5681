// Which features fired, for how long others have not, and which of them count as dead.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "server/dictionary/training/objective.h"

namespace lifescope {

// When a feature counts as dead. The default is dictionary_learning's; SAELens has {kSteps, 1000, false, false}.
struct DeadRule {
  enum class Unit { kRows, kSteps };
  Unit unit = Unit::kRows;
  int64_t after = 10'000'000;
  // Dead from exactly `after` units without firing on, or only beyond them.
  bool inclusive = true;
  // Whether the batch at hand counts before the dead are determined.
  bool counts_batch_first = true;
  // Whether the batch in which a feature fired counts as one since it fired (OpenAI).
  bool counts_firing_batch = false;
};

// Counts a batch: `fired` INT64 holds a feature once per row in which it fired. Writes kSinceFired and kFireCount of
// `next`, and returns the dead features, INT64, ascending.
at::Tensor CountFiring(const DeadRule& rule, int64_t rows, const at::Tensor& fired, const ObjectiveState& state,
                       ObjectiveState& next);

// For losses that need the dead before it is known what fires; only for rules with counts_batch_first false.
at::Tensor DeadFeatures(const DeadRule& rule, const at::Tensor& since_fired);

}  // namespace lifescope
