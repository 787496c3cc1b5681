// What a model still predicts when its activations are replaced: by a dictionary's reconstruction (spliced), by zero,
// or by their mean. Every raw loss is kept beside the ratios made of it. Definitions: metric_definition.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/evaluation/bootstrap.h"

namespace lifescope {

// Logits [predictions, vocabulary] of the same predictions in four runs.
struct PatchedLogits {
  at::Tensor clean, spliced, zero_ablated, mean_ablated;
};

// KL(clean || patched) in nats, DOUBLE [predictions].
at::Tensor KlDivergences(const at::Tensor& clean, const at::Tensor& patched);

// What each prediction adds to the sums: DOUBLE [predictions, 8]: 1; cross-entropies clean, spliced, zero, mean; KL
// spliced, zero, mean.
at::Tensor DownstreamTerms(const PatchedLogits& logits, const at::Tensor& targets);

// Ratios whose divisor is smaller than this many nats say nothing and are NaN.
inline constexpr double kSmallestAblationEffect = 1e-3;

// (ablated - spliced) / (ablated - clean). NaN with a note where the divisor is too small; a note where it is negative:
// the ablation then helps, and a larger ratio is no better.
Measurement LossRecovered(const char* name, double ablated, double spliced, double clean);

// cross_entropy_{clean,spliced,zero_ablated,mean_ablated}, delta_cross_entropy, kl_{spliced,zero_ablated,mean_ablated},
// loss_recovered_{zero,mean}, kl_recovered_{zero,mean} of the predictions that were summed to `sums` [8].
std::vector<Measurement> DownstreamMetrics(const at::Tensor& sums);

}  // namespace lifescope
