#include "server/dictionary/training/unit_dictionary_objective.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include "server/dictionary/training/exported_matrices.h"
#include "server/dictionary/training/initial_directions.h"

namespace lifescope {

UnitDictionaryObjective::UnitDictionaryObjective(const UnitDictionaryOptions& options) : options_(options) {
  CheckWidths(options.input_dim, options.feature_count);
  TORCH_CHECK_VALUE(options.l1_coefficient >= 0, "l1_coefficient is ", options.l1_coefficient, ", expected 0 or more");
  TORCH_CHECK_VALUE(options.bias_decay >= 0, "bias_decay is ", options.bias_decay, ", expected 0 or more");
}

Parameters UnitDictionaryObjective::Initialise(uint64_t seed) const {
  const at::Tensor directions = RandomUnitRows(options_.feature_count, options_.input_dim, seed);
  Parameters parameters{{kEncoder, directions}, {kEncoderBias, at::zeros({options_.feature_count}, at::kDouble)}};
  if (!options_.tied) parameters[kDecoder] = directions;
  return parameters;
}

at::Tensor UnitDictionaryObjective::DictionaryOf(const Parameters& p) const {
  const at::Tensor& rows = p.at(options_.tied ? kEncoder : kDecoder);
  return rows / rows.norm(2, 1, /*keepdim=*/true).clamp_min(1e-8);
}

DifferentiableLoss UnitDictionaryObjective::Loss(const Parameters& p, const ObjectiveState& state,
                                                 const TrainingRows& rows, const TrainingContext& context) const {
  const at::Tensor dictionary = DictionaryOf(p);
  const at::Tensor encoder = Operand(context.matmul, options_.tied ? dictionary : p.at(kEncoder));
  const at::Tensor input = Operand(context.matmul, rows.input);
  const at::Tensor acts = at::relu(at::addmm(p.at(kEncoderBias), input, encoder.t()));
  const at::Tensor squared_error = (rows.target - acts.mm(dictionary)).square();
  const at::Tensor mse = squared_error.mean(), sparsity = acts.sum(1).mean(), bias_norm = p.at(kEncoderBias).norm();

  DifferentiableLoss loss;
  loss.total = mse + options_.l1_coefficient * context.sparsity_scale * sparsity + options_.bias_decay * bias_norm;
  loss.terms = {
      {"mse", mse.item<double>()}, {"sparsity", sparsity.item<double>()}, {"bias_norm", bias_norm.item<double>()}};
  const at::Tensor fired = acts.nonzero().select(1, 1);
  const at::Tensor dead = CountFiring(options_.dead, rows.input.size(0), fired, state, loss.next_state);
  loss.figures = {squared_error.sum().item<double>(), static_cast<double>(fired.numel()), dead.numel()};
  return loss;
}

DictionaryWeights UnitDictionaryObjective::Export(const Parameters& p, const ObjectiveState&) const {
  const at::Tensor dictionary = DictionaryOf(p);
  const at::Tensor no_bias = at::zeros({options_.input_dim}, dictionary.options());
  DictionaryWeights weights = ExportedMatrices(
      "standard",
      {{kEncoder, options_.tied ? dictionary : p.at(kEncoder)}, {kDecoder, dictionary}, {kDecoderBias, no_bias}},
      /*apply_b_dec_to_input=*/false);
  weights.tensors["b_enc"] = p.at(kEncoderBias).clone();
  return weights;
}

}  // namespace lifescope
