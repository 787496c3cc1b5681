// Lobes: do features that occur together point the same way? (Li et al. 2024, arXiv:2410.19750.) Features are clustered
// by co-occurrence (spectral clusters of phi + 1) and by direction (of angular similarity), and the clusterings are
// compared: adjusted mutual information is 0 when they have nothing to do with each other.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/dictionary/dictionary.h"

namespace lifescope {

struct FeatureLobeOptions {
  int64_t clusters = 3;
  // Features that occur in fewer chunks, or in all of them, are left out; of the others at most as many, those that
  // occur most: time grows with their cube.
  int64_t min_chunks = 10;
  int64_t max_features = 1000;
  uint64_t seed = 1;
};

struct FeatureLobes {
  std::vector<int64_t> features;         // ascending
  std::vector<int64_t> by_cooccurrence;  // the cluster of each
  std::vector<int64_t> by_direction;
  double mutual_information = 0;
};

// `directions` [features, d]: decoder rows. Chunks as CountCooccurrences. With fewer features left than clusters there
// are no clusters, and the mutual information is NaN. Throws c10::ValueError when shapes do not fit.
FeatureLobes FindLobes(const SparseActivations& codes, const std::vector<int64_t>& chunk_offsets,
                       const at::Tensor& directions, const FeatureLobeOptions& options = {});

}  // namespace lifescope
