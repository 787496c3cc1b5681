// How well simulated activations match true ones (Bills et al. 2023, "Language models can explain neurons in language
// models"; code openai/automated-interpretability). The simulator is whoever predicts activations from an explanation;
// without a language model it is a rule: "high where this concept holds".
#pragma once

#include <ATen/core/Tensor.h>

namespace lifescope {

// Over all tokens of all scored sequences together, never averaged over sequences; s simulated, t true. NaN where a
// denominator is 0.
struct SimulationScore {
  double correlation = 0;         // Pearson: the published score
  double r_squared = 0;           // 1 - mean (t - s)^2 / mean t^2: uncentred
  double absolute_deviation = 0;  // 1 - mean |t - s| / mean |t|
};

// Tensors of one shape, at least one element; in double. Throws c10::ValueError when they are not.
SimulationScore ScoreSimulation(const at::Tensor& simulated, const at::Tensor& truth);

// min(10, floor(10 max(t, 0) / maximum)): the scale that a simulator predicts on. INT64, as `truth`. Throws
// c10::ValueError unless the maximum is positive.
at::Tensor ToTenths(const at::Tensor& truth, double maximum);

// From the scale of a simulator to activations, fitted on pairs: by least squares; by equal ranks (linear between the
// sorted simulated values, constant beyond them).
class Calibration {
 public:
  static Calibration Linear(const at::Tensor& simulated, const at::Tensor& truth);
  static Calibration Percentile(const at::Tensor& simulated, const at::Tensor& truth);

  at::Tensor Apply(const at::Tensor& simulated) const;  // DOUBLE, as its argument

 private:
  Calibration() = default;

  double slope_ = 0, intercept_ = 0;
  at::Tensor sorted_simulated_, sorted_truth_;  // of Percentile
};

}  // namespace lifescope
