// The sparse path of JumpReLU: everything from the entries that the jump lets through or the kernel sees.
#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "server/dictionary/sparse_encoder.h"
#include "server/dictionary/training/jumprelu_objective.h"
#include "server/dictionary/training/norm_gradient.h"
#include "server/dictionary/training/sparse_backward.h"
#include "server/dictionary/training/straight_through.h"

namespace lifescope {
namespace {

constexpr int64_t kRowsAtOnce = 256;

at::Tensor SumsOf(const EntriesByFeature& by_feature, const at::Tensor& weights, const at::Tensor& like) {
  at::Tensor sums = at::zeros_like(like);
  AddSumsByFeature(by_feature, weights.to(like.scalar_type()), sums);
  return sums;
}

// The bound below which an entry neither passes the jump nor lies in its kernel. A rectified pre-activation below 0
// lies there as 0.
at::Tensor BoundOf(const JumpReluOptions& options, const at::Tensor& threshold) {
  const at::Tensor bound = threshold - options.bandwidth / 2;
  if (!options.rectify_first) return bound;
  return bound.masked_fill(bound < 0, -std::numeric_limits<double>::infinity());
}

// Adds the gradient of coefficient * penalty of the rates at which 1[z > threshold] is 1, and returns the penalty; `z`
// of the entries that are grouped in `by_feature`.
double AddL0(const JumpReluOptions& options, const EntriesByFeature& by_feature, const at::Tensor& z,
             const at::Tensor& entry_threshold, const at::Tensor& threshold, double count, double coefficient,
             at::Tensor& threshold_gradient) {
  const Jump jump = JumpAt(z, entry_threshold, options.bandwidth);
  at::Tensor open = SumsOf(by_feature, jump.open, threshold), near = SumsOf(by_feature, jump.near, threshold);
  if (options.step_sees_activations) {
    // Entries that are not there are activations of 0.
    const at::Tensor rest = count - SumsOf(by_feature, at::ones_like(z), threshold);
    const Jump at_zero = JumpAt(at::zeros_like(threshold), threshold, options.bandwidth);
    open += rest * at_zero.open;
    near += rest * at_zero.near;
  }
  const at::Tensor rates = open / count;
  threshold_gradient -=
      L0PenaltyGradient(options.l0_penalty, rates) * near * (coefficient / (options.bandwidth * count));
  return L0PenaltyOf(options.l0_penalty, rates).item<double>();
}

// Adds the gradient of coefficient * mean over rows of sum over `features` of relu(threshold - pre-activation) * norm,
// and returns it without the coefficient. These entries are many: products of matrices, some rows at a time.
double AddPreActivation(const Parameters& p, const at::Tensor& threshold, const at::Tensor& rows,
                        const at::Tensor& features, double coefficient, Parameters& gradient) {
  const auto chosen = [&](const at::Tensor& tensor) { return tensor.index_select(0, features); };
  const at::Tensor encoder = chosen(p.at(kEncoder)), bias = chosen(p.at(kEncoderBias)),
                   decoder = chosen(p.at(kDecoder));
  const at::Tensor bound = chosen(threshold), norm = decoder.norm(2, 1);
  const double count = static_cast<double>(rows.size(0));
  at::Tensor shortfall = at::zeros_like(bound), below = at::zeros_like(bound), sums = at::zeros_like(encoder);
  for (int64_t row = 0; row < rows.size(0); row += kRowsAtOnce) {
    const at::Tensor part = rows.narrow(0, row, std::min(kRowsAtOnce, rows.size(0) - row));
    const at::Tensor missing = at::relu(bound - at::addmm(bias, part, encoder.t()));
    const at::Tensor is_below = (missing > 0).to(missing.scalar_type());
    shortfall += missing.sum(0);
    below += is_below.sum(0);
    sums.addmm_(is_below.t(), part);
  }
  const at::Tensor scale = norm * (coefficient / count);
  gradient[kEncoder].index_add_(0, features, -sums * scale.unsqueeze(1));
  gradient[kEncoderBias].index_add_(0, features, -below * scale);
  gradient[kThreshold].index_add_(0, features, below * scale);
  gradient[kDecoder].index_add_(0, features, NormGradient(decoder, norm, shortfall * (coefficient / count)));
  return (shortfall * norm).sum(at::kDouble).item<double>() / count;
}

}  // namespace

Evaluation JumpReluObjective::Evaluate(const Parameters& p, const ObjectiveState& state, const TrainingRows& rows,
                                       const TrainingContext& context) const {
  const at::Tensor& x = rows.input;
  if (!x.is_cpu()) return Differentiate(*this, p, state, rows, context);
  const at::Tensor &encoder = p.at(kEncoder), &decoder = p.at(kDecoder), &decoder_bias = p.at(kDecoderBias);
  const double count = static_cast<double>(x.size(0));
  const double coefficient = options_.sparsity_coefficient * context.sparsity_scale;
  const at::Tensor centred = Operand(context.matmul, options_.apply_b_dec_to_input ? x - decoder_bias : x);
  const at::Tensor threshold = ThresholdOf(p.at(kThreshold));

  const SparseActivations pre =
      EncodeAbove(centred, encoder, p.at(kEncoderBias), BoundOf(options_, threshold), context.matmul);
  const EntriesByFeature by_feature = GroupByFeature(pre);
  const at::Tensor features = pre.features.to(at::kLong), entry_threshold = threshold.index_select(0, features);
  const at::Tensor z = options_.rectify_first ? at::relu(pre.values) : pre.values;
  const Jump jump = JumpAt(z, entry_threshold, options_.bandwidth);
  SparseActivations acts = pre;
  acts.values = z.masked_fill(~jump.open, 0);

  Evaluation result;
  Parameters& gradient = result.gradients;
  for (const auto& [name, parameter] : p) gradient[name] = at::zeros_like(parameter);
  const at::Tensor error = rows.target - decoder_bias - SparseTimesDense(acts, decoder);
  const double divisor = options_.error_per_dimension ? count * static_cast<double>(x.size(1)) : count;
  const at::Tensor output_gradient = error * (-2 / divisor);
  at::Tensor value_gradient = BackpropagateDecoding(acts, by_feature, output_gradient, decoder, gradient[kDecoder]);

  double sparsity = 0;
  if (options_.sparsity == JumpReluOptions::Sparsity::kTanh) {
    const at::Tensor norm = decoder.norm(2, 1), entry_norm = norm.index_select(0, features) * options_.tanh_scale;
    const at::Tensor squashed = at::tanh(acts.values * entry_norm);
    const at::Tensor slope = (1 - squashed.square()) * (coefficient / count);
    value_gradient += slope * entry_norm;
    const at::Tensor by_norm = SumsOf(by_feature, slope * acts.values * options_.tanh_scale, norm);
    gradient[kDecoder] += NormGradient(decoder, norm, by_norm);
    sparsity = squashed.sum(at::kDouble).item<double>() / count;
  } else {
    sparsity = AddL0(options_, by_feature, options_.step_sees_activations ? acts.values : z, entry_threshold, threshold,
                     count, coefficient, gradient[kThreshold]);
  }

  const at::Tensor kernel = jump.near * entry_threshold / options_.bandwidth * value_gradient;
  gradient[kThreshold] -= SumsOf(by_feature, kernel, threshold);
  at::Tensor entry_gradient = value_gradient.masked_fill(~jump.open, 0);
  if (options_.kernel_on_input) entry_gradient += kernel;
  if (options_.rectify_first) entry_gradient.masked_fill_(pre.values <= 0, 0);
  BackpropagateEncoding(by_feature, entry_gradient, centred, gradient[kEncoder], gradient[kEncoderBias]);

  const double squared_error = error.square().sum(at::kDouble).item<double>();
  const at::Tensor fired = features.masked_select(acts.values != 0);
  const at::Tensor dead = CountFiring(options_.dead, x.size(0), fired, state, result.next_state);
  result.terms = {
      {"mse", squared_error / divisor}, {"sparsity", sparsity}, {"l0", static_cast<double>(fired.numel()) / count}};
  result.loss = squared_error / divisor + coefficient * sparsity;
  if (options_.pre_activation_coefficient > 0) {
    const at::Tensor chosen = options_.pre_activation_of_all ? at::arange(feature_count(), at::kLong) : dead;
    const double value = AddPreActivation(p, threshold, centred, chosen, options_.pre_activation_coefficient, gradient);
    result.terms["pre_activation"] = value;
    result.loss += options_.pre_activation_coefficient * value;
  }
  if (options_.threshold == JumpReluOptions::Threshold::kLog) gradient[kThreshold] *= threshold;
  gradient[kDecoderBias] = output_gradient.sum(0);
  if (options_.apply_b_dec_to_input) gradient[kDecoderBias] -= encoder.t().mv(gradient[kEncoderBias]);
  result.figures = {squared_error, static_cast<double>(fired.numel()), dead.numel()};
  return result;
}

}  // namespace lifescope
