#include "server/model/heads.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

namespace lifescope {
namespace {

constexpr double kMinimumNorm = 1e-12;

}  // namespace

at::Tensor Activate(Activation activation, const at::Tensor& x) {
  switch (activation) {
    case Activation::kGelu:
    case Activation::kGeluCustom:  // x/2 (1 + erf(x / sqrt 2)) written out
      return at::gelu(x);
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kSwish:
      return at::silu(x);
    case Activation::kGeluGoogle:
      return at::gelu(x, "tanh");
  }
  TORCH_CHECK(false, "activation ", static_cast<int>(activation), " is not in the enum");
}

at::Tensor MlmHead(const MlmHeadWeights& weights, const at::Tensor& decoder, const at::Tensor& rows,
                   const ForwardPass& pass) {
  const at::Tensor x = pass.Dropped(rows, &Dropout::embedding);
  const at::Tensor act = pass.Hooked(Site::kMlmAct, at::tanh(at::linear(x, weights.v, weights.b_v)));
  const at::Tensor normed = pass.Hooked(Site::kMlmNormed, act / RowNorm(act).clamp_min(kMinimumNorm));
  return weights.g * at::linear(pass.Dropped(normed, &Dropout::embedding), decoder);
}

at::Tensor SopHead(const SopHeadWeights& weights, double epsilon, const at::Tensor& cls, const ForwardPass& pass) {
  const at::Tensor act = pass.Hooked(Site::kSopAct, at::silu(at::linear(cls, weights.w_in, weights.b_in)));
  const at::Tensor normed = act * weights.g / RowNorm(act).clamp_min(epsilon);
  return at::linear(pass.Dropped(normed, &Dropout::decoder), weights.w_out, weights.b_out);
}

}  // namespace lifescope
