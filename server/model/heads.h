// The two pretraining heads and the MLP's activation. Private to server/model.
#pragma once

#include <ATen/core/Tensor.h>

#include "server/model/forward_pass.h"
#include "server/model/weights.h"

namespace lifescope {

// The function `hidden_act` names.
at::Tensor Activate(Activation activation, const at::Tensor& x);

// g l2norm(tanh(V x + b)) . decoder^T.
at::Tensor MlmHead(const MlmHeadWeights& weights, const at::Tensor& decoder, const at::Tensor& rows,
                   const ForwardPass& pass);

// W_out ScaleNorm(swish(W_in x + b_in)) + b_out.
at::Tensor SopHead(const SopHeadWeights& weights, double epsilon, const at::Tensor& cls, const ForwardPass& pass);

}  // namespace lifescope
