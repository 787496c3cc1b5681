#include "server/dictionary/training/relu_objective.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include "server/dictionary/sparse_encoder.h"
#include "server/dictionary/training/initial_directions.h"
#include "server/dictionary/training/sparse_backward.h"

namespace lifescope {

ReluObjective::ReluObjective(const ReluOptions& options) : options_(options) {
  CheckWidths(options.input_dim, options.feature_count);
  TORCH_CHECK_VALUE(options.sparsity_coefficient >= 0, "sparsity_coefficient is ", options.sparsity_coefficient,
                    ", expected 0 or more");
}

Parameters ReluObjective::Initialise(uint64_t seed) const {
  const at::Tensor directions = RandomUnitRows(options_.feature_count, options_.input_dim, seed);
  return {{kEncoder, directions * 0.1},
          {kEncoderBias, at::zeros({options_.feature_count}, at::kDouble)},
          {kDecoder, directions * 0.1},
          {kDecoderBias, at::zeros({options_.input_dim}, at::kDouble)}};
}

DifferentiableLoss ReluObjective::Loss(const Parameters& p, const ObjectiveState& state, const TrainingRows& rows,
                                       const TrainingContext& context) const {
  const at::Tensor& x = rows.input;
  const at::Tensor centred = options_.apply_b_dec_to_input ? x - p.at(kDecoderBias) : x;
  const at::Tensor acts = at::relu(at::addmm(p.at(kEncoderBias), centred, p.at(kEncoder).t()));
  const at::Tensor error = rows.target - at::addmm(p.at(kDecoderBias), acts, p.at(kDecoder));
  const at::Tensor mse = error.square().sum(1).mean();
  const at::Tensor sparsity = (options_.weight_by_decoder_norm ? acts * p.at(kDecoder).norm(2, 1) : acts).sum(1).mean();

  DifferentiableLoss loss;
  loss.total = mse + options_.sparsity_coefficient * context.sparsity_scale * sparsity;
  loss.terms = {{"mse", mse.item<double>()}, {"sparsity", sparsity.item<double>()}};
  const at::Tensor fired = acts.nonzero().select(1, 1);
  const at::Tensor dead = CountFiring(options_.dead, x.size(0), fired, state, loss.next_state);
  loss.figures = {error.square().sum().item<double>(), static_cast<double>(fired.numel()), dead.numel()};
  return loss;
}

Evaluation ReluObjective::Evaluate(const Parameters& p, const ObjectiveState& state, const TrainingRows& rows,
                                   const TrainingContext& context) const {
  const at::Tensor& x = rows.input;
  if (!x.is_cpu()) return Differentiate(*this, p, state, rows, context);
  const at::Tensor &encoder = p.at(kEncoder), &decoder = p.at(kDecoder), &decoder_bias = p.at(kDecoderBias);
  const double count = static_cast<double>(x.size(0));
  const double coefficient = options_.sparsity_coefficient * context.sparsity_scale;
  const at::Tensor centred = options_.apply_b_dec_to_input ? x - decoder_bias : x;
  const SparseActivations active =
      EncodeAbove(centred, encoder, p.at(kEncoderBias), at::zeros_like(p.at(kEncoderBias)));
  const EntriesByFeature by_feature = GroupByFeature(active);
  const at::Tensor error = rows.target - decoder_bias - SparseTimesDense(active, decoder);

  Evaluation result;
  Parameters& gradient = result.gradients;
  for (const auto& [name, parameter] : p) gradient[name] = at::zeros_like(parameter);
  const at::Tensor output_gradient = error * (-2 / count);
  at::Tensor entry_gradient = BackpropagateDecoding(active, by_feature, output_gradient, decoder, gradient[kDecoder]);
  at::Tensor sums = at::zeros_like(p.at(kEncoderBias));
  AddSumsByFeature(by_feature, active.values, sums);  // of f, over rows
  double sparsity = 0;
  if (options_.weight_by_decoder_norm) {
    const at::Tensor norm = decoder.norm(2, 1);
    entry_gradient += (coefficient / count) * norm.index_select(0, active.features.to(at::kLong));
    gradient[kDecoder] += decoder * (sums / norm * (coefficient / count)).unsqueeze(1);
    sparsity = (sums * norm).sum(at::kDouble).item<double>() / count;
  } else {
    entry_gradient += coefficient / count;
    sparsity = sums.sum(at::kDouble).item<double>() / count;
  }
  BackpropagateEncoding(by_feature, entry_gradient, centred, gradient[kEncoder], gradient[kEncoderBias]);
  gradient[kDecoderBias] = output_gradient.sum(0);
  if (options_.apply_b_dec_to_input) gradient[kDecoderBias] -= encoder.t().mv(gradient[kEncoderBias]);

  const double squared_error = error.square().sum(at::kDouble).item<double>();
  result.terms = {{"mse", squared_error / count}, {"sparsity", sparsity}};
  result.loss = squared_error / count + coefficient * sparsity;
  const at::Tensor dead =
      CountFiring(options_.dead, x.size(0), active.features.to(at::kLong), state, result.next_state);
  result.figures = {squared_error, static_cast<double>(active.features.numel()), dead.numel()};
  return result;
}

DictionaryWeights ReluObjective::Export(const Parameters& p, const ObjectiveState&) const {
  DictionaryWeights weights;
  weights.architecture = "standard";
  weights.tensors = {{"W_enc", p.at(kEncoder).t().contiguous()},
                     {"b_enc", p.at(kEncoderBias)},
                     {"W_dec", p.at(kDecoder)},
                     {"b_dec", p.at(kDecoderBias)}};
  weights.apply_b_dec_to_input = options_.apply_b_dec_to_input;
  return weights;
}

}  // namespace lifescope
