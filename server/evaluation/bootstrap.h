// Intervals over persons: persons are drawn with replacement, and a figure's interval is that of its values over the
// draws (percentile bootstrap; Efron & Tibshirani 1993).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lifescope {

struct BootstrapOptions {
  int64_t resamples = 1000;
  uint64_t seed = 1;
};

// A metric with its 95 % percentile interval.
struct Measurement {
  std::string metric;  // "AUC"
  double value = 0;
  double low = 0;
  double high = 0;
};

// Linear between order statistics; NaN of no values.
double Quantile(std::vector<double> values, double q);

// For figures that are functions of sums over persons: the sums of each draw. `per_person` [persons, sums] ->
// DOUBLE [resamples, sums]. One seed and number of persons give the same draws: figures of two dictionaries on the same
// persons can be compared draw by draw. Exact, hence independent of the number of threads, where the entries are whole
// numbers. Throws c10::ValueError when there are no persons or resamples.
at::Tensor BootstrapSums(const at::Tensor& per_person, const BootstrapOptions& options);

}  // namespace lifescope
