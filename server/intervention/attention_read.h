// Attention weights of one head as a matrix, whatever kind of head it is.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/intervention/forward_output.h"
#include "server/intervention/read_kind.h"
#include "server/model/hyperparameters.h"

namespace lifescope {

// Hook points that the weights follow from: kPhiQ, kPhiK, kKsum of a global head, kPatternLocal of a local one.
std::vector<HookPoint> AttentionPoints(const AttentionRead& read, const Hyperparameters& hyperparameters);

// The weights of document `row` of the batch at some of its rows: [queries, rows of the document + 1], as
// AttentionRead. Those of a global head are computed in float64.
at::Tensor AttentionWeights(const AttentionRead& read, const Hyperparameters& hyperparameters,
                            const ForwardOutput& output, size_t row, const std::vector<int64_t>& queries);

}  // namespace lifescope
