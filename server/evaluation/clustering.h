// Clusters of features from affinities, and how far two clusterings agree (the "lobes" of Li et al. 2024,
// arXiv:2410.19750).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lifescope {

// Normalised spectral clustering (Shi & Malik 2000, as scikit-learn does it): the leading `clusters` eigenvectors of
// D^-1/2 A D^-1/2, divided by the root of the degrees, then k-means. `affinity` [n, n], symmetric, not negative (the
// paper takes phi + 1); its diagonal does not count. Labels of each row, 0 .. clusters - 1. Time n^3. Deterministic
// up to the linear algebra library. Throws c10::ValueError when the affinity is not of that form.
std::vector<int64_t> SpectralClusters(const at::Tensor& affinity, int64_t clusters, uint64_t seed = 1);

// Adjusted mutual information of two labellings of the same things (Vinh et al. 2010, arithmetic mean):
//   (MI - E MI) / ((H(a) + H(b)) / 2 - E MI);  1: equal up to the names of clusters, 0: as random ones.
// 1 where both have one cluster each, or each thing is a cluster in both. Throws c10::ValueError when the lengths
// differ or are 0.
double AdjustedMutualInformation(const std::vector<int64_t>& a, const std::vector<int64_t>& b);

}  // namespace lifescope
