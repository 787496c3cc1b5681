#include "server/dictionary/training/gated_objective.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <optional>

#include "server/dictionary/sparse_encoder.h"
#include "server/dictionary/training/exported_matrices.h"
#include "server/dictionary/training/initial_directions.h"
#include "server/dictionary/training/norm_gradient.h"
#include "server/dictionary/training/sparse_backward.h"

namespace lifescope {
namespace {

SparsityPenalty Power(double exponent) {
  SparsityPenalty penalty;
  penalty.exponent = exponent;
  return penalty;
}

}  // namespace

GatedObjective::GatedObjective(const GatedOptions& options) : options_(options) {
  CheckWidths(options.input_dim, options.feature_count);
  TORCH_CHECK_VALUE(options.sparsity_coefficient >= 0, "sparsity_coefficient is ", options.sparsity_coefficient,
                    ", expected 0 or more");
  CheckPAnnealing(options.annealing);
  TORCH_CHECK_VALUE(options.initial_decoder_norm > 0, "initial_decoder_norm is ", options.initial_decoder_norm,
                    ", expected above 0");
}

Parameters GatedObjective::Initialise(uint64_t seed) const {
  const at::Tensor directions =
      RandomUnitRows(options_.feature_count, options_.input_dim, seed) * options_.initial_decoder_norm;
  const at::Tensor zero = at::zeros({options_.feature_count}, at::kDouble);
  return {{kEncoder, directions}, {kGateBias, zero},      {kMagnitudeBias, zero},
          {kLogMagnitude, zero},  {kDecoder, directions}, {kDecoderBias, at::zeros({options_.input_dim}, at::kDouble)}};
}

ObjectiveState GatedObjective::InitialState() const {
  ObjectiveState state = Objective::InitialState();
  if (options_.annealing.updates > 0) AddPAnnealing(options_.annealing, options_.sparsity_coefficient, state);
  return state;
}

AnnealedPenalty GatedObjective::PenaltyAt(const ObjectiveState& state) const {
  if (options_.annealing.updates > 0) return CurrentPenalty(options_.annealing, state);
  return {1, options_.sparsity_coefficient, std::nullopt};
}

DifferentiableLoss GatedObjective::Loss(const Parameters& p, const ObjectiveState& state, const TrainingRows& rows,
                                        const TrainingContext& context) const {
  const at::Tensor &x = rows.input, &decoder = p.at(kDecoder), &decoder_bias = p.at(kDecoderBias);
  const at::Tensor centred = Operand(context.matmul, options_.apply_b_dec_to_input ? x - decoder_bias : x);
  const at::Tensor product = at::mm(centred, p.at(kEncoder).t());
  const at::Tensor gate = at::relu(product + p.at(kGateBias));
  const at::Tensor magnitude = at::relu(product * p.at(kLogMagnitude).exp() + p.at(kMagnitudeBias));
  const at::Tensor acts = magnitude.masked_fill(gate <= 0, 0);

  const at::Tensor error = rows.target - at::addmm(decoder_bias, acts, decoder);
  const bool frozen = options_.auxiliary_decoder_is_frozen;
  const at::Tensor gate_error =
      rows.target - at::addmm(frozen ? decoder_bias.detach() : decoder_bias, gate, frozen ? decoder.detach() : decoder);
  const at::Tensor mse = error.square().sum(1).mean();
  const AnnealedPenalty now = PenaltyAt(state);
  const at::Tensor penalised = options_.weight_by_decoder_norm ? gate * decoder.norm(2, 1) : gate;
  const at::Tensor sparsity = PenaltyOfRows(Power(now.p), penalised).mean();
  const at::Tensor auxiliary = gate_error.square().sum(1).mean();

  DifferentiableLoss loss;
  loss.total = mse + now.coefficient * context.sparsity_scale * sparsity + auxiliary;
  loss.terms = {
      {"mse", mse.item<double>()}, {"sparsity", sparsity.item<double>()}, {"auxiliary", auxiliary.item<double>()}};
  const at::Tensor fired = acts.nonzero().select(1, 1);
  const at::Tensor dead = CountFiring(options_.dead, x.size(0), fired, state, loss.next_state);
  loss.figures = {error.square().sum().item<double>(), static_cast<double>(fired.numel()), dead.numel()};
  if (options_.annealing.updates > 0) {
    const double next = now.next_p ? PenaltyOfRows(Power(*now.next_p), penalised).mean().item<double>() : 0;
    AdvancePAnnealing(options_.annealing, context.step, loss.terms["sparsity"], next, state, loss.next_state);
  }
  return loss;
}

Evaluation GatedObjective::Evaluate(const Parameters& p, const ObjectiveState& state, const TrainingRows& rows,
                                    const TrainingContext& context) const {
  const at::Tensor& x = rows.input;
  if (!x.is_cpu()) return Differentiate(*this, p, state, rows, context);
  const at::Tensor &encoder = p.at(kEncoder), &decoder = p.at(kDecoder), &decoder_bias = p.at(kDecoderBias);
  const double count = static_cast<double>(x.size(0));
  const AnnealedPenalty now = PenaltyAt(state);
  const double coefficient = now.coefficient * context.sparsity_scale;
  const at::Tensor centred = Operand(context.matmul, options_.apply_b_dec_to_input ? x - decoder_bias : x);

  // The entries whose gate is open, as gates and as activations; some of the latter are 0.
  const SparseActivations gate =
      EncodeAbove(centred, encoder, p.at(kGateBias), at::zeros_like(p.at(kGateBias)), context.matmul);
  const EntriesByFeature by_feature = GroupByFeature(gate);
  const at::Tensor features = gate.features.to(at::kLong);
  const auto of_entries = [&](const at::Tensor& per_feature) { return per_feature.index_select(0, features); };
  const at::Tensor scale = of_entries(p.at(kLogMagnitude).exp());
  const at::Tensor scaled = (gate.values - of_entries(p.at(kGateBias))) * scale;
  SparseActivations acts = gate;
  acts.values = at::relu(scaled + of_entries(p.at(kMagnitudeBias)));
  const at::Tensor inactive = acts.values == 0;

  Evaluation result;
  Parameters& gradient = result.gradients;
  for (const auto& [name, parameter] : p) gradient[name] = at::zeros_like(parameter);
  const at::Tensor error = rows.target - decoder_bias - SparseTimesDense(acts, decoder);
  const at::Tensor gate_error = rows.target - decoder_bias - SparseTimesDense(gate, decoder);
  const at::Tensor output_gradient = error * (-2 / count), gate_output_gradient = gate_error * (-2 / count);
  const at::Tensor magnitude_gradient =
      BackpropagateDecoding(acts, by_feature, output_gradient, decoder, gradient[kDecoder]).masked_fill_(inactive, 0);
  gradient[kDecoderBias] = output_gradient.sum(0);
  at::Tensor gate_gradient;
  if (options_.auxiliary_decoder_is_frozen) {
    gate_gradient = DotProducts(gate, gate_output_gradient, decoder);
  } else {
    gate_gradient = BackpropagateDecoding(gate, by_feature, gate_output_gradient, decoder, gradient[kDecoder]);
    gradient[kDecoderBias] += gate_output_gradient.sum(0);
  }

  SparseActivations penalised = gate;
  const at::Tensor norm = options_.weight_by_decoder_norm ? decoder.norm(2, 1) : at::ones_like(p.at(kGateBias));
  penalised.values = gate.values * of_entries(norm);
  const SparsePenalty penalty = PenaltyOfEntries(Power(now.p), penalised);
  const double sparsity = penalty.rows.mean().item<double>();
  const at::Tensor slope = penalty.derivatives * (coefficient / count);
  gate_gradient += slope * of_entries(norm);
  if (options_.weight_by_decoder_norm) {
    at::Tensor by_norm = at::zeros_like(norm);
    AddSumsByFeature(by_feature, slope * gate.values, by_norm);
    gradient[kDecoder] += NormGradient(decoder, norm, by_norm);
  }

  AddSumsByFeature(by_feature, gate_gradient, gradient[kGateBias]);
  AddSumsByFeature(by_feature, magnitude_gradient, gradient[kMagnitudeBias]);
  AddSumsByFeature(by_feature, magnitude_gradient * scaled, gradient[kLogMagnitude]);
  at::Tensor product_sums = at::zeros_like(p.at(kGateBias));
  BackpropagateEncoding(by_feature, gate_gradient + magnitude_gradient * scale, centred, gradient[kEncoder],
                        product_sums);
  if (options_.apply_b_dec_to_input) gradient[kDecoderBias] -= encoder.t().mv(product_sums);

  const double squared_error = error.square().sum(at::kDouble).item<double>();
  const double auxiliary = gate_error.square().sum(at::kDouble).item<double>() / count;
  result.terms = {{"mse", squared_error / count}, {"sparsity", sparsity}, {"auxiliary", auxiliary}};
  result.loss = squared_error / count + coefficient * sparsity + auxiliary;
  const at::Tensor fired = features.masked_select(~inactive);
  const at::Tensor dead = CountFiring(options_.dead, x.size(0), fired, state, result.next_state);
  result.figures = {squared_error, static_cast<double>(fired.numel()), dead.numel()};
  if (options_.annealing.updates > 0) {
    const double next = now.next_p ? PenaltyOfEntries(Power(*now.next_p), penalised).rows.mean().item<double>() : 0;
    AdvancePAnnealing(options_.annealing, context.step, sparsity, next, state, result.next_state);
  }
  return result;
}

DictionaryWeights GatedObjective::Export(const Parameters& p, const ObjectiveState&) const {
  DictionaryWeights weights = ExportedMatrices("gated", p, options_.apply_b_dec_to_input);
  weights.tensors["b_gate"] = p.at(kGateBias).clone();
  weights.tensors["b_mag"] = p.at(kMagnitudeBias).clone();
  weights.tensors["r_mag"] = p.at(kLogMagnitude).clone();
  return weights;
}

}  // namespace lifescope
