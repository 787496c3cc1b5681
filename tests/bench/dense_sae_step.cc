#include "tests/bench/dense_sae_step.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

namespace lifescope {
namespace {

constexpr int64_t kDecoder = 2;

using Tensors = std::vector<at::Tensor>;

at::Tensor SquaredError(const at::Tensor& rows, const at::Tensor& reconstruction) {
  return (rows - reconstruction).pow(2).sum(-1).mean();
}

at::Tensor ReluActivations(const Tensors& p, const at::Tensor& rows) {
  return at::relu(at::linear(rows - p[3], p[0], p[1]));
}

DenseSaeStep::Loss TopKLoss(int64_t k) {
  return [k](const Tensors& p, const at::Tensor& rows) {
    const at::Tensor acts = ReluActivations(p, rows);
    const auto [values, indices] = acts.topk(k, -1, true, /*sorted=*/false);
    const at::Tensor kept = at::zeros_like(acts).scatter(-1, indices, values);
    return SquaredError(rows, at::linear(kept, p[kDecoder]) + p[3]);
  };
}

DenseSaeStep::Loss BatchTopKLoss(int64_t k) {
  return [k](const Tensors& p, const at::Tensor& rows) {
    const at::Tensor acts = ReluActivations(p, rows), flat = acts.flatten();
    const auto [values, indices] = flat.topk(k * rows.size(0), -1, true, /*sorted=*/false);
    const at::Tensor kept = at::zeros_like(flat).scatter(-1, indices, values).reshape(acts.sizes());
    return SquaredError(rows, at::linear(kept, p[kDecoder]) + p[3]);
  };
}

at::Tensor ReluLoss(const Tensors& p, const at::Tensor& rows) {
  const at::Tensor acts = ReluActivations(p, rows);
  return SquaredError(rows, at::linear(acts, p[kDecoder]) + p[3]) + 0.1 * acts.norm(1, -1).mean();
}

// p: encoder, gate bias, decoder, decoder bias, r, magnitude bias.
at::Tensor GatedLoss(const Tensors& p, const at::Tensor& rows) {
  const at::Tensor product = at::linear(rows - p[3], p[0]);
  const at::Tensor gate = product + p[1];
  const at::Tensor acts = (gate > 0).to(rows.scalar_type()) * at::relu(p[4].exp() * product + p[5]);
  const at::Tensor open = at::relu(gate);
  const at::Tensor auxiliary = open.mm(p[kDecoder].detach().t()) + p[3].detach();
  return SquaredError(rows, at::linear(acts, p[kDecoder]) + p[3]) + 0.1 * open.norm(1, -1).mean() +
         SquaredError(rows, auxiliary);
}

// 1 where |distance| < 1/2: the kernel of the straight-through gradients. Adding kernel * (threshold - its value) gives
// the threshold a gradient and changes no value.
at::Tensor Kernel(const at::Tensor& distance) {
  return ((distance > -0.5).logical_and(distance < 0.5)).to(distance.scalar_type());
}

// p: encoder, bias, decoder, decoder bias, threshold.
at::Tensor JumpReluLoss(const Tensors& p, const at::Tensor& rows) {
  constexpr double kBandwidth = 0.001, kTarget = 20;
  const at::Tensor pre = at::linear(rows, p[0], p[1]), &threshold = p[4];
  const at::Tensor moved = threshold - threshold.detach();
  const at::Tensor open = (pre > threshold).to(pre.scalar_type()).detach();
  const at::Tensor near = Kernel((pre.detach() - threshold.detach()) / kBandwidth);
  const at::Tensor acts = pre * open - near * (threshold.detach() / kBandwidth) * moved;
  const at::Tensor near_acts = Kernel((acts.detach() - threshold.detach()) / kBandwidth);
  const at::Tensor steps = (acts > threshold).to(pre.scalar_type()).detach() - near_acts * (1 / kBandwidth) * moved;
  return SquaredError(rows, at::linear(acts, p[kDecoder]) + p[3]) + (steps.sum(-1).mean() / kTarget - 1).pow(2);
}

}  // namespace

DenseSaeStep::DenseSaeStep(const Options& options) : options_(options), adam_(options.parameters.size()) {}

double DenseSaeStep::Step(const at::Tensor& rows) {
  Tensors leaves, gradients;
  double loss_value = 0;
  {
    const at::AutoGradMode with_gradients(true);
    for (const at::Tensor& parameter : options_.parameters) leaves.push_back(parameter.detach().requires_grad_(true));
    const at::Tensor loss = options_.loss(leaves, rows);
    loss.backward();
    loss_value = loss.item<double>();
  }
  const c10::NoGradGuard no_grad;
  for (const at::Tensor& leaf : leaves) gradients.push_back(leaf.grad());
  at::Tensor& decoder = options_.parameters[kDecoder];
  const at::Tensor unit = decoder / decoder.norm(2, 0, true);
  gradients[kDecoder] -= (gradients[kDecoder] * unit).sum(0, true) * unit;
  if (options_.gradient_clip > 0) ClipGradientNorm(gradients, options_.gradient_clip);
  AdamOptions adam;
  adam.learning_rate = options_.learning_rate;
  adam.beta1 = options_.beta1;
  for (size_t i = 0; i < gradients.size(); ++i) AdamStepByAten(adam, gradients[i], options_.parameters[i], adam_[i]);
  decoder.div_(decoder.norm(2, 0, true));
  return loss_value;
}

DenseSaeStep MakeDenseSaeStep(const std::string& family, const at::Tensor& encoder, const at::Tensor& bias, int64_t k,
                              double learning_rate) {
  DenseSaeStep::Options options;
  options.parameters = {encoder.clone(), bias.clone(), encoder.t().contiguous(), at::zeros({encoder.size(1)})};
  options.learning_rate = learning_rate;
  if (family == "topk" || family == "batch_topk") {
    options.loss = family == "topk" ? TopKLoss(k) : BatchTopKLoss(k);
    options.gradient_clip = 1;
  } else if (family == "relu") {
    options.loss = ReluLoss;
  } else if (family == "gated") {
    options.parameters.push_back(at::zeros_like(bias));
    options.parameters.push_back(bias.clone());
    options.loss = GatedLoss;
  } else if (family == "jumprelu") {
    options.parameters.push_back(at::full_like(bias, 0.001));
    options.loss = JumpReluLoss;
    options.gradient_clip = 1;
    options.beta1 = 0;
  } else {
    TORCH_CHECK_VALUE(false, "family is ", family, ", expected topk, batch_topk, relu, gated or jumprelu");
  }
  return DenseSaeStep(options);
}

}  // namespace lifescope
