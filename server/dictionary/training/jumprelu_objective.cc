#include "server/dictionary/training/jumprelu_objective.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>

#include "server/dictionary/training/exported_matrices.h"
#include "server/dictionary/training/initial_directions.h"
#include "server/dictionary/training/straight_through.h"

namespace lifescope {

JumpReluObjective::JumpReluObjective(const JumpReluOptions& options) : options_(options) {
  CheckWidths(options.input_dim, options.feature_count);
  CheckL0Penalty(options.l0_penalty);
  const auto positive = [](const char* name, double value) {
    TORCH_CHECK_VALUE(std::isfinite(value) && value > 0, name, " is ", value, ", expected above 0");
  };
  positive("bandwidth", options.bandwidth);
  positive("initial_threshold", options.initial_threshold);
  positive("tanh_scale", options.tanh_scale);
  positive("initial_decoder_norm", options.initial_decoder_norm);
  TORCH_CHECK_VALUE(options.sparsity_coefficient >= 0, "sparsity_coefficient is ", options.sparsity_coefficient,
                    ", expected 0 or more");
  TORCH_CHECK_VALUE(options.pre_activation_coefficient >= 0, "pre_activation_coefficient is ",
                    options.pre_activation_coefficient, ", expected 0 or more");
}

Parameters JumpReluObjective::Initialise(uint64_t seed) const {
  const at::Tensor directions =
      RandomUnitRows(options_.feature_count, options_.input_dim, seed) * options_.initial_decoder_norm;
  const double threshold = options_.threshold == JumpReluOptions::Threshold::kPlain
                               ? options_.initial_threshold
                               : std::log(options_.initial_threshold);
  return {{kEncoder, directions},
          {kEncoderBias, at::zeros({options_.feature_count}, at::kDouble)},
          {kThreshold, at::full({options_.feature_count}, threshold, at::kDouble)},
          {kDecoder, directions},
          {kDecoderBias, at::zeros({options_.input_dim}, at::kDouble)}};
}

at::Tensor JumpReluObjective::ThresholdOf(const at::Tensor& parameter) const {
  switch (options_.threshold) {
    case JumpReluOptions::Threshold::kLog:
      return parameter.exp();
    case JumpReluOptions::Threshold::kLogWithoutChainFactor:
      return parameter.detach().exp() + (parameter - parameter.detach());
    case JumpReluOptions::Threshold::kPlain:
      break;
  }
  return parameter;
}

DifferentiableLoss JumpReluObjective::Loss(const Parameters& p, const ObjectiveState& state, const TrainingRows& rows,
                                           const TrainingContext& context) const {
  const at::Tensor &x = rows.input, &decoder = p.at(kDecoder);
  const at::Tensor centred = Operand(context.matmul, options_.apply_b_dec_to_input ? x - p.at(kDecoderBias) : x);
  const at::Tensor threshold = ThresholdOf(p.at(kThreshold));
  const at::Tensor pre = at::addmm(p.at(kEncoderBias), centred, p.at(kEncoder).t());
  const at::Tensor z = options_.rectify_first ? at::relu(pre) : pre;
  const at::Tensor acts = JumpRelu(z, threshold, options_.bandwidth, options_.kernel_on_input);
  const at::Tensor error = rows.target - at::addmm(p.at(kDecoderBias), acts, decoder);
  const at::Tensor mse = options_.error_per_dimension ? error.square().mean() : error.square().sum(1).mean();

  DifferentiableLoss loss;
  at::Tensor sparsity;
  if (options_.sparsity == JumpReluOptions::Sparsity::kTanh) {
    sparsity = at::tanh(options_.tanh_scale * acts * decoder.norm(2, 1)).sum(1).mean();
  } else {
    const at::Tensor step = JumpStep(options_.step_sees_activations ? acts : z, threshold, options_.bandwidth);
    sparsity = L0PenaltyOf(options_.l0_penalty, step.mean(0));
  }
  const at::Tensor fired = acts.nonzero().select(1, 1);
  const at::Tensor dead = CountFiring(options_.dead, x.size(0), fired, state, loss.next_state);
  loss.total = mse + options_.sparsity_coefficient * context.sparsity_scale * sparsity;
  loss.terms = {{"mse", mse.item<double>()},
                {"sparsity", sparsity.item<double>()},
                {"l0", static_cast<double>(fired.numel()) / static_cast<double>(x.size(0))}};
  if (options_.pre_activation_coefficient > 0) {
    const at::Tensor shortfall = at::relu(threshold - pre) * decoder.norm(2, 1);
    const at::Tensor pre_activation =
        (options_.pre_activation_of_all ? shortfall : shortfall.index_select(1, dead)).sum(1).mean();
    loss.total = loss.total + options_.pre_activation_coefficient * pre_activation;
    loss.terms["pre_activation"] = pre_activation.item<double>();
  }
  loss.figures = {error.square().sum().item<double>(), static_cast<double>(fired.numel()), dead.numel()};
  return loss;
}

DictionaryWeights JumpReluObjective::Export(const Parameters& p, const ObjectiveState&) const {
  DictionaryWeights weights = ExportedMatrices("jumprelu", p, options_.apply_b_dec_to_input);
  weights.tensors["b_enc"] = p.at(kEncoderBias).clone();
  weights.tensors["threshold"] = ThresholdOf(p.at(kThreshold)).detach().clone();
  return weights;
}

}  // namespace lifescope
