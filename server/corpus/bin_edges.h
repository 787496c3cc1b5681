// Where numbers are cut into bins.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lifescope {

// The bin_count - 1 edges of a field, fitted on its training values in ascending order, in the way of the published
// pipeline (a one-partition approximate quantile; facts/life2vec.md section 8). No values: no edges. Throws
// c10::ValueError on a bin_count below 3.
std::vector<double> FitBinEdges(std::span<const double> x, int32_t bin_count);

}  // namespace lifescope
