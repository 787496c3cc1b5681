// How often each feature of a dictionary fires over a set of rows: densities, and how many features are dead or dense.
// Definitions: metric_definition.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/evaluation/bootstrap.h"

namespace lifescope {

// Counts over documents. A feature fires where f != 0. Not thread-safe.
class FeatureCounts {
 public:
  explicit FeatureCounts(int64_t feature_count);

  // The features [rows, feature_count] of rows of one document, all at once.
  void AddDocument(const at::Tensor& features);

  // The window: rows seen. "Dead" means silent in all of them.
  int64_t rows() const { return rows_; }
  // DOUBLE [feature_count]: share of the rows on which each fires.
  at::Tensor Densities() const;
  // DOUBLE [feature_count]: rows on which it fires per document in which it fires at all; NaN for a dead feature.
  at::Tensor ConsistentActivation() const;

 private:
  int64_t rows_ = 0;
  at::Tensor rows_fired_, documents_fired_;  // INT64 [feature_count]
};

// From `densities` DOUBLE [features]: alive_fraction, dead_feature_count, dense_feature_count,
// frequency_over_1_percent, frequency_over_10_percent, normalized_frequency_over_1_percent,
// normalized_frequency_over_10_percent; no intervals.
std::vector<Measurement> DensityMetrics(const at::Tensor& densities);

// log10(density + 1e-10) of each feature: [features]; dead ones stand at -10.
at::Tensor LogDensities(const at::Tensor& densities);

// Features by log10 density in `bins` bins of equal width over [-10, 0].
std::vector<int64_t> LogDensityHistogram(const at::Tensor& densities, int64_t bins = 20);

}  // namespace lifescope
