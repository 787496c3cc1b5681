// Direct logit attribution through the additive ReZero trunk: x = embeddings + the contributions of every layer.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "server/intervention/read_kind.h"
#include "server/model/transformer.h"

namespace lifescope {

// Hook points whose activations are the components, in the order of DirectLogitValue::components.
std::vector<HookPoint> DirectLogitPoints(const DirectLogitRead& read, const Hyperparameters& hyperparameters);

// `final`: rows of the final residual stream, [rows, hidden]; `rows_at` gives the same rows of each of the points,
// flattened.
DirectLogitValue DirectLogit(const DirectLogitRead& read, const Transformer& model, const at::Tensor& final,
                             const std::function<at::Tensor(const HookPoint&)>& rows_at);

}  // namespace lifescope
