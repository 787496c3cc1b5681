// One threshold for all features that stands for a selection at inference: what is above it is active. A running mean
// of the smallest activation that the selection kept.
#pragma once

#include <cstdint>
#include <optional>

#include "server/dictionary/dictionary.h"

namespace lifescope {

struct ThresholdMean {
  double decay = 0.999;
  // The last step that does not count; -1: all steps do.
  int64_t after_step = 1000;
  // Whether the mean starts at 0 (SAELens, BatchTopK's authors), or at the first value that counts
  // (dictionary_learning).
  bool starts_at_zero = false;
};

// Throws c10::ValueError naming the field that is out of range.
void CheckThresholdMean(const ThresholdMean& options);

// Before the first step: 0, or -1 for a mean that has no value yet.
double InitialThreshold(const ThresholdMean& options);

// Nothing: no entry is active. Otherwise the smallest value, or the mean of the smallest values of those rows that have
// one.
std::optional<double> SmallestActive(const SparseActivations& active, bool of_each_row);

// The mean after step `step`, in which `smallest` was the smallest value.
double NextThreshold(const ThresholdMean& options, double threshold, std::optional<double> smallest, int64_t step);

}  // namespace lifescope
