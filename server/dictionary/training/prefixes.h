// The nested dictionaries of a Matryoshka training: the first m_1 < m_2 < ... < feature_count features are each to
// reconstruct the target alone (Bussmann et al. 2025, arXiv:2503.17547).
#pragma once

#include <cstdint>
#include <vector>

namespace lifescope {

struct Prefixes {
  std::vector<int64_t> widths;  // ascending, the last one feature_count; 0: the decoder bias alone
  std::vector<double> weights;  // of their errors in the loss
};

struct PrefixOptions {
  // The same at every step. Without widths: the whole dictionary alone, which is no Matryoshka.
  Prefixes fixed;
  // If above 0: so many prefixes of equal weight, 1 / sampled_count, drawn afresh at every step; the whole dictionary
  // is always one of them, and the others are drawn without replacement from a Pareto distribution, P(width < m) = 1 -
  // (sampled_least / m)^sampled_exponent, truncated to sampled_least ... feature_count - 1 (Nabeshima 2024).
  int64_t sampled_count = 0;
  int64_t sampled_least = 1;
  double sampled_exponent = 0.5;
  uint64_t sampled_seed = 0;
};

// Throws c10::ValueError naming the field that is out of range.
void CheckPrefixes(const PrefixOptions& options, int64_t feature_count);

// Those of a step: the same for equal options and step.
Prefixes PrefixesAt(const PrefixOptions& options, int64_t feature_count, int64_t step);

}  // namespace lifescope
