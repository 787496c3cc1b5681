// k-means (Lloyd's iterations from k-means++ seeds; Arthur & Vassilvitskii 2007): the best of several starts.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lifescope {

struct KMeansOptions {
  int64_t clusters = 8;
  int64_t starts = 10;
  int64_t iterations = 300;
  uint64_t seed = 1;
};

struct KMeansResult {
  std::vector<int64_t> labels;  // of each point, 0 .. clusters - 1
  double inertia = 0;           // sum of squared distances to the centres
};

// `points` [n, d]. Deterministic. Throws c10::ValueError unless 1 <= clusters <= n.
KMeansResult KMeans(const at::Tensor& points, const KMeansOptions& options);

}  // namespace lifescope
