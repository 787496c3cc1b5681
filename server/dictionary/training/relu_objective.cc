#include "server/dictionary/training/relu_objective.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include "server/dictionary/geometric_median.h"
#include "server/dictionary/sparse_encoder.h"
#include "server/dictionary/training/exported_matrices.h"
#include "server/dictionary/training/initial_directions.h"
#include "server/dictionary/training/norm_gradient.h"
#include "server/dictionary/training/sparse_backward.h"

namespace lifescope {
namespace {

// Factors [rows] of each row's squared error and penalty.
struct RowWeights {
  at::Tensor error, penalty;
};

RowWeights WeightsOf(LossScale scale, const TrainingRows& rows) {
  const at::Tensor ones = at::ones({rows.target.size(0)}, rows.target.options());
  if (scale == LossScale::kSum) return {ones, ones};
  if (scale == LossScale::kMean) return {ones / static_cast<double>(rows.target.size(1)), ones};
  return {rows.target.square().sum(1).reciprocal(), rows.input.norm(2, 1).reciprocal()};
}

SparsityPenalty WithExponent(SparsityPenalty penalty, double exponent) {
  penalty.exponent = exponent;
  return penalty;
}

double MeanOf(const at::Tensor& weights, const at::Tensor& values) {
  return (weights.to(at::kDouble) * values.to(at::kDouble)).mean().item<double>();
}

}  // namespace

ReluObjective::ReluObjective(const ReluOptions& options) : options_(options) {
  CheckWidths(options.input_dim, options.feature_count);
  TORCH_CHECK_VALUE(options.sparsity_coefficient >= 0, "sparsity_coefficient is ", options.sparsity_coefficient,
                    ", expected 0 or more");
  CheckPenalty(options.penalty);
  CheckPAnnealing(options.annealing);
  TORCH_CHECK_VALUE(options.annealing.updates == 0 || options.penalty.form != SparsityPenalty::Form::kTanh,
                    "annealing: the penalty is tanh, expected one with an exponent");
}

Parameters ReluObjective::Initialise(uint64_t seed) const {
  const at::Tensor directions = RandomUnitRows(options_.feature_count, options_.input_dim, seed);
  Parameters parameters{{kEncoder, directions * 0.1},
                        {kEncoderBias, RandomUniform(options_.feature_count, options_.initial_bias, ~seed)},
                        {kDecoderBias, at::zeros({options_.input_dim}, at::kDouble)}};
  if (!options_.tied) parameters[kDecoder] = directions * 0.1;
  return parameters;
}

ObjectiveState ReluObjective::InitialState() const {
  ObjectiveState state = Objective::InitialState();
  if (options_.annealing.updates > 0) AddPAnnealing(options_.annealing, options_.sparsity_coefficient, state);
  return state;
}

void ReluObjective::InitialiseFromRows(const TrainingRows& rows, Parameters& p) const {
  if (options_.starts_at_median) p[kDecoderBias] = GeometricMedian(rows.target);
}

const at::Tensor& ReluObjective::DecoderOf(const Parameters& p) const {
  return p.at(options_.tied ? kEncoder : kDecoder);
}

AnnealedPenalty ReluObjective::PenaltyAt(const ObjectiveState& state) const {
  if (options_.annealing.updates > 0) return CurrentPenalty(options_.annealing, state);
  return {options_.penalty.exponent, options_.sparsity_coefficient, std::nullopt};
}

DifferentiableLoss ReluObjective::Loss(const Parameters& p, const ObjectiveState& state, const TrainingRows& rows,
                                       const TrainingContext& context) const {
  const at::Tensor &x = rows.input, &decoder = DecoderOf(p);
  const RowWeights weights = WeightsOf(options_.scale, rows);
  const AnnealedPenalty now = PenaltyAt(state);
  const at::Tensor centred = Operand(context.matmul, options_.apply_b_dec_to_input ? x - p.at(kDecoderBias) : x);
  const at::Tensor acts = at::relu(at::addmm(p.at(kEncoderBias), centred, p.at(kEncoder).t()));
  const at::Tensor error = rows.target - at::addmm(p.at(kDecoderBias), acts, decoder);
  const at::Tensor mse = (error.square().sum(1) * weights.error).mean();
  const at::Tensor penalised = options_.weight_by_decoder_norm ? acts * decoder.norm(2, 1) : acts;
  const auto penalty = [&](double exponent) {
    return (PenaltyOfRows(WithExponent(options_.penalty, exponent), penalised) * weights.penalty).mean();
  };
  const at::Tensor sparsity = penalty(now.p);

  DifferentiableLoss loss;
  loss.total = mse + now.coefficient * context.sparsity_scale * sparsity;
  loss.terms = {{"mse", mse.item<double>()}, {"sparsity", sparsity.item<double>()}};
  const at::Tensor fired = acts.nonzero().select(1, 1);
  const at::Tensor dead = CountFiring(options_.dead, x.size(0), fired, state, loss.next_state);
  loss.figures = {error.square().sum().item<double>(), static_cast<double>(fired.numel()), dead.numel()};
  if (options_.annealing.updates > 0) {
    const double next = now.next_p ? penalty(*now.next_p).item<double>() : 0;
    AdvancePAnnealing(options_.annealing, context.step, loss.terms["sparsity"], next, state, loss.next_state);
  }
  return loss;
}

Evaluation ReluObjective::Evaluate(const Parameters& p, const ObjectiveState& state, const TrainingRows& rows,
                                   const TrainingContext& context) const {
  const at::Tensor& x = rows.input;
  if (!x.is_cpu()) return Differentiate(*this, p, state, rows, context);
  const at::Tensor &encoder = p.at(kEncoder), &decoder = DecoderOf(p), &decoder_bias = p.at(kDecoderBias);
  const double count = static_cast<double>(x.size(0));
  const RowWeights weights = WeightsOf(options_.scale, rows);
  const AnnealedPenalty now = PenaltyAt(state);
  const double coefficient = now.coefficient * context.sparsity_scale;
  const at::Tensor centred = Operand(context.matmul, options_.apply_b_dec_to_input ? x - decoder_bias : x);
  const SparseActivations active =
      EncodeAbove(centred, encoder, p.at(kEncoderBias), at::zeros_like(p.at(kEncoderBias)), context.matmul);
  const EntriesByFeature by_feature = GroupByFeature(active);
  const at::Tensor error = rows.target - decoder_bias - SparseTimesDense(active, decoder);

  Evaluation result;
  Parameters& gradient = result.gradients;
  for (const auto& [name, parameter] : p) gradient[name] = at::zeros_like(parameter);
  at::Tensor decoder_gradient = at::zeros_like(decoder);
  const at::Tensor output_gradient = error * (weights.error * (-2 / count)).unsqueeze(1);
  at::Tensor entry_gradient = BackpropagateDecoding(active, by_feature, output_gradient, decoder, decoder_gradient);

  // Of the penalty: `slope` is the gradient of the loss by what is penalised of each entry.
  const at::Tensor features = active.features.to(at::kLong);
  const at::Tensor norm = options_.weight_by_decoder_norm ? decoder.norm(2, 1) : at::ones_like(p.at(kEncoderBias));
  SparseActivations penalised = active;
  penalised.values = active.values * norm.index_select(0, features);
  const SparsePenalty penalty = PenaltyOfEntries(WithExponent(options_.penalty, now.p), penalised);
  const at::Tensor entries_per_row = active.row_offsets.diff();
  const at::Tensor slope =
      penalty.derivatives * (weights.penalty * (coefficient / count)).repeat_interleave(entries_per_row);
  entry_gradient += slope * norm.index_select(0, features);
  if (options_.weight_by_decoder_norm) {
    at::Tensor by_norm = at::zeros_like(norm);
    AddSumsByFeature(by_feature, slope * active.values, by_norm);
    decoder_gradient += NormGradient(decoder, norm, by_norm);
  }

  BackpropagateEncoding(by_feature, entry_gradient, centred, gradient[kEncoder], gradient[kEncoderBias]);
  gradient[options_.tied ? kEncoder : kDecoder] += decoder_gradient;
  gradient[kDecoderBias] = output_gradient.sum(0);
  if (options_.apply_b_dec_to_input) gradient[kDecoderBias] -= encoder.t().mv(gradient[kEncoderBias]);

  const at::Tensor squared_error = error.square().sum(1, /*keepdim=*/false, at::kDouble);
  const double mse = MeanOf(weights.error, squared_error), sparsity = MeanOf(weights.penalty, penalty.rows);
  result.terms = {{"mse", mse}, {"sparsity", sparsity}};
  result.loss = mse + coefficient * sparsity;
  const at::Tensor dead = CountFiring(options_.dead, x.size(0), features, state, result.next_state);
  result.figures = {squared_error.sum().item<double>(), static_cast<double>(features.numel()), dead.numel()};
  if (options_.annealing.updates > 0) {
    double next = 0;
    if (now.next_p) {
      const SparsityPenalty next_penalty = WithExponent(options_.penalty, *now.next_p);
      next = MeanOf(weights.penalty, PenaltyOfEntries(next_penalty, penalised).rows);
    }
    AdvancePAnnealing(options_.annealing, context.step, sparsity, next, state, result.next_state);
  }
  return result;
}

DictionaryWeights ReluObjective::Export(const Parameters& p, const ObjectiveState&) const {
  Parameters untied = p;
  untied[kDecoder] = DecoderOf(p);
  DictionaryWeights weights = ExportedMatrices("standard", untied, options_.apply_b_dec_to_input);
  weights.tensors["b_enc"] = p.at(kEncoderBias).clone();
  return weights;
}

}  // namespace lifescope
