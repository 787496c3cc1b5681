// Intervals over persons: persons are drawn with replacement, and a figure's interval is that of its values over the
// draws (percentile bootstrap; Efron & Tibshirani 1993).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
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
  // NaN: no interval.
  double low = 0;
  double high = 0;
  // Why the value is NaN or needs care.
  std::string note = {};
};

// Linear between order statistics; NaN of no values.
double Quantile(std::vector<double> values, double q);

// For figures that are functions of sums over persons: the sums of each draw. `per_person` [persons, sums] ->
// DOUBLE [resamples, sums]. One seed and number of persons give the same draws: figures of two dictionaries on the same
// persons can be compared draw by draw. Exact, hence independent of the number of threads, where the entries are whole
// numbers. Throws c10::ValueError when there are no persons or resamples.
at::Tensor BootstrapSums(const at::Tensor& per_person, const BootstrapOptions& options);

// Metrics that are functions of sums over persons: `sums` DOUBLE [sums] -> the same metrics in the same order.
using MetricsOfSums = std::function<std::vector<Measurement>(const at::Tensor& sums)>;

// With the 95 % percentile interval of its values over draws of `persons` persons; draws in which it is NaN are left
// out. No interval where the value is NaN, and none of one person, who says nothing of others: a note says so.
Measurement WithInterval(Measurement measured, const std::vector<double>& draws, int64_t persons);

// The metrics of all persons WithInterval. Throws as BootstrapSums.
std::vector<Measurement> MeasureOverPersons(const at::Tensor& per_person, const MetricsOfSums& metrics,
                                            const BootstrapOptions& options = {});

}  // namespace lifescope
