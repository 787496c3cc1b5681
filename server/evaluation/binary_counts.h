// Right and wrong answers to a yes-no question, and the scores of them. A score without a denominator is 0, but for
// BalancedAccuracy.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lifescope {

struct BinaryCounts {
  int64_t true_positives = 0;
  int64_t false_positives = 0;
  int64_t false_negatives = 0;
  int64_t true_negatives = 0;

  double Precision() const;
  double Recall() const;
  double TrueNegativeRate() const;
  // 2 tp / (2 tp + fp + fn).
  double F1() const;
  // (recall + true negative rate) / 2: what delphi's detection and fuzzing scores call accuracy. NaN where there is no
  // positive or no negative: half of it would be about nothing.
  double BalancedAccuracy() const;

  BinaryCounts& operator+=(const BinaryCounts& other);
};

// Of BOOL tensors of one shape. Throws c10::ValueError when they are not.
BinaryCounts CountAnswers(const at::Tensor& predicted, const at::Tensor& truth);

// sum of f1_i * firings_i / sum of firings_i over features: DOUBLE [features], [features] (delphi's frequency-weighted
// F1). 0 where nothing fires.
double FrequencyWeightedF1(const at::Tensor& f1, const at::Tensor& firings);

}  // namespace lifescope
