// How the directions of a crosscoder spread over its hook points: what layers or models share and what is one's own
// (Lindsey et al. 2024, "Sparse Crosscoders for Cross-Layer Features and Model Diffing"). Definitions:
// metric_definition.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "server/evaluation/bootstrap.h"

namespace lifescope {

// |W_dec at a site| / the sum of that over all sites: `directions` [features, sum of widths] -> DOUBLE [features
// whose direction is not 0, sites]. Throws c10::ValueError when the widths do not add up.
at::Tensor RelativeDecoderNorms(const at::Tensor& directions, const std::vector<int64_t>& widths);

// relative_decoder_norm and exclusive_feature_share of every site, shared_feature_share and shared_decoder_cosine of
// every two that follow each other, over these features; `names` of the sites stand in the notes, and why a value is
// NaN. No intervals. Norms at different sites can be compared only where their activations are of one scale.
std::vector<Measurement> CrosscoderMetrics(const at::Tensor& directions, const std::vector<int64_t>& widths,
                                           const std::vector<std::string>& names);

}  // namespace lifescope
