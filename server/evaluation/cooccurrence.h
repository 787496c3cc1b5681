// Which features occur together (Li et al. 2024, "The Geometry of Concepts", arXiv:2410.19750; code
// ejmichaud/feature-geometry): a feature occurs in a chunk of rows when it is active at any of them. Affinities of
// features i, j over the chunks, with n11 chunks that have both, n10 and n01 one alone, n00 neither:
//   phi             = (n11 n00 - n10 n01) / sqrt(n1. n0. n.1 n.0)
//   Jaccard         = n11 / (n11 + n10 + n01)
//   Dice            = 2 n11 / (n1. + n.1)
//   overlap         = n11 / min(n1., n.1)
//   simple matching = (n11 + n00) / n
// 0 where the denominator is 0.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/dictionary/dictionary.h"

namespace lifescope {

struct Cooccurrences {
  at::Tensor together;  // DOUBLE [features, features], whole numbers: chunks with both; the diagonal: with the feature
  int64_t chunk_count = 0;
};

// Chunk c is rows [chunk_offsets[c], chunk_offsets[c + 1]). Throws c10::ValueError unless the offsets ascend from 0 to
// the number of rows.
void CheckChunks(const SparseActivations& codes, const std::vector<int64_t>& chunk_offsets);

// A feature is active above `threshold`. Time: the square of the features that occur in a chunk; memory: 8 features^2
// bytes. Throws c10::ValueError as CheckChunks.
Cooccurrences CountCooccurrences(const SparseActivations& codes, const std::vector<int64_t>& chunk_offsets,
                                 double threshold = 0);

// DOUBLE [features, features], symmetric.
at::Tensor PhiAffinity(const Cooccurrences& counts);
at::Tensor JaccardAffinity(const Cooccurrences& counts);
at::Tensor DiceAffinity(const Cooccurrences& counts);
at::Tensor OverlapAffinity(const Cooccurrences& counts);
at::Tensor SimpleMatchingAffinity(const Cooccurrences& counts);

}  // namespace lifescope
