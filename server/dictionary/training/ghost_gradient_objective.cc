#include "server/dictionary/training/ghost_gradient_objective.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include "server/dictionary/training/exported_matrices.h"
#include "server/dictionary/training/initial_directions.h"

namespace lifescope {
namespace {

at::Tensor RowNorms(const at::Tensor& rows) { return rows.norm(2, 1, /*keepdim=*/true); }

}  // namespace

at::Tensor GhostReconstruction(const at::Tensor& pre_activations, const at::Tensor& decoder, const at::Tensor& dead) {
  return pre_activations.index_select(1, dead).exp().mm(decoder.index_select(0, dead));
}

GhostGradientObjective::GhostGradientObjective(const GhostGradientOptions& options) : options_(options) {
  CheckWidths(options.input_dim, options.feature_count);
  TORCH_CHECK_VALUE(options.output_dim >= 0, "output_dim is ", options.output_dim, ", expected 0 or more");
  TORCH_CHECK_VALUE(options.l1_coefficient >= 0, "l1_coefficient is ", options.l1_coefficient, ", expected 0 or more");
  TORCH_CHECK_VALUE(!options.dead.counts_batch_first,
                    "ghost gradients: dead.counts_batch_first is true, expected false");
}

Parameters GhostGradientObjective::Initialise(uint64_t seed) const {
  const at::Tensor directions = RandomUnitRows(options_.feature_count, options_.input_dim, seed);
  Parameters parameters{{kEncoder, directions},
                        {kEncoderBias, at::zeros({options_.feature_count}, at::kDouble)},
                        {kDecoder, directions},
                        {kDecoderBias, at::zeros({output_dim()}, at::kDouble)}};
  if (is_transcoder()) {
    parameters[kDecoder] = RandomUnitRows(options_.feature_count, options_.output_dim, ~seed);
    parameters[kInputBias] = at::zeros({options_.input_dim}, at::kDouble);
  }
  return parameters;
}

const at::Tensor& GhostGradientObjective::InputBias(const Parameters& p) const {
  return p.at(is_transcoder() ? kInputBias : kDecoderBias);
}

DifferentiableLoss GhostGradientObjective::Loss(const Parameters& p, const ObjectiveState& state,
                                                const TrainingRows& rows, const TrainingContext& context) const {
  const at::Tensor pre =
      at::addmm(p.at(kEncoderBias), Operand(context.matmul, rows.input - InputBias(p)), p.at(kEncoder).t());
  const at::Tensor acts = at::relu(pre);
  const at::Tensor error = rows.target - at::addmm(p.at(kDecoderBias), acts, p.at(kDecoder));
  const at::Tensor scaled = error.square() / RowNorms(rows.target);
  const at::Tensor mse = scaled.mean(), sparsity = acts.sum(1).mean();

  const at::Tensor dead = DeadFeatures(options_.dead, state.at(kSinceFired));
  at::Tensor ghost = at::zeros_like(mse);
  if (dead.numel() > 0) {
    const at::Tensor left = error.detach(), left_norm = RowNorms(left);
    const at::Tensor raw = GhostReconstruction(pre, p.at(kDecoder), dead);
    const at::Tensor half = left_norm / (2 * RowNorms(raw.detach()) + 1e-6);
    const at::Tensor ghost_error = (raw * half - left).square() / left_norm;
    ghost = (ghost_error * (scaled / (ghost_error + 1e-6)).detach()).mean();
  }

  DifferentiableLoss loss;
  loss.total = mse + options_.l1_coefficient * context.sparsity_scale * sparsity + ghost;
  loss.terms = {{"mse", mse.item<double>()}, {"sparsity", sparsity.item<double>()}, {"ghost", ghost.item<double>()}};
  const at::Tensor fired = acts.nonzero().select(1, 1);
  CountFiring(options_.dead, rows.input.size(0), fired, state, loss.next_state);
  loss.figures = {error.square().sum().item<double>(), static_cast<double>(fired.numel()), dead.numel()};
  return loss;
}

DictionaryWeights GhostGradientObjective::Export(const Parameters& p, const ObjectiveState&) const {
  DictionaryWeights weights = ExportedMatrices("standard", p, /*apply_b_dec_to_input=*/!is_transcoder());
  weights.tensors["b_enc"] =
      is_transcoder() ? p.at(kEncoderBias) - p.at(kEncoder).mv(p.at(kInputBias)) : p.at(kEncoderBias).clone();
  return weights;
}

}  // namespace lifescope
