// Testing with concept activation vectors (Kim et al. 2018, arXiv:1711.11279), as the life2vec authors publish it: the
// direction that separates activations of a concept from others, and for how many lives a metric grows along it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace lifescope {

struct ConceptActivationOptions {
  double c = 1;  // of the separating logistic regression
  // Directions of shuffled labels that the score is compared with.
  int64_t random_count = 50;
  uint64_t seed = 1;
  // Asked before every fit, unless empty; true ends the call with Cancelled (server/intervention/engine.h).
  std::function<bool()> cancelled = {};
};

struct ConceptActivation {
  at::Tensor direction;  // DOUBLE [width], unit length, towards the concept
  double accuracy = 0;   // of the separator on the half of the rows that did not fit it
  // Share of lives whose metric grows along the direction, of those where it changes: the TCAV score.
  double sign_count = 0;
  double magnitude = 0;  // share of the positive ones in the sum of absolute directional derivatives
  // Of the directions of shuffled labels; one half where no life's metric changes along it.
  std::vector<double> random_sign_counts;
  // Share of those whose score is at least as far from one half, the score itself among them.
  double p_value = 1;
};

// `positive` and `negative`: [rows, width], at least 4 each; every second row (after a shuffle by the seed) judges the
// separator. `gradients` of the metric at the same hook point, [lives, width]. Throws c10::ValueError when shapes do
// not fit, there are too few rows, or no life's metric changes along the direction; Cancelled.
ConceptActivation MeasureConceptActivation(const at::Tensor& positive, const at::Tensor& negative,
                                           const at::Tensor& gradients, const ConceptActivationOptions& options = {});

}  // namespace lifescope
