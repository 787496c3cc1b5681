#include "server/dictionary/training/crosscoder_objective.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <numeric>

#include "server/dictionary/crosscoder_sites.h"
#include "server/dictionary/sparse_encoder.h"
#include "server/dictionary/training/exported_matrices.h"
#include "server/dictionary/training/initial_directions.h"
#include "server/dictionary/training/norm_gradient.h"
#include "server/dictionary/training/sparse_backward.h"

namespace lifescope {

CrosscoderObjective::CrosscoderObjective(const CrosscoderOptions& options) : options_(options) {
  TORCH_CHECK_VALUE(!options.site_widths.empty(), "site_widths is empty, expected a width per site");
  for (const int64_t width : options.site_widths) CheckWidths(width, options.feature_count);
  row_width_ = std::accumulate(options.site_widths.begin(), options.site_widths.end(), int64_t{0});
  TORCH_CHECK_VALUE(options.sparsity_coefficient >= 0, "sparsity_coefficient is ", options.sparsity_coefficient,
                    ", expected 0 or more");
  TORCH_CHECK_VALUE(options.initial_decoder_norm > 0, "initial_decoder_norm is ", options.initial_decoder_norm,
                    ", expected above 0");
}

std::vector<int64_t> CrosscoderObjective::NormWidths() const {
  if (options_.norm_over_sites == CrosscoderOptions::NormOverSites::kSum) return options_.site_widths;
  return {row_width_};
}

Parameters CrosscoderObjective::Initialise(uint64_t seed) const {
  std::vector<at::Tensor> sites;
  for (const int64_t width : options_.site_widths) {
    sites.push_back(RandomUnitRows(options_.feature_count, width, seed + sites.size()));
  }
  const at::Tensor directions = at::cat(sites, 1) * options_.initial_decoder_norm;
  return {{kEncoder, directions},
          {kEncoderBias, at::zeros({options_.feature_count}, at::kDouble)},
          {kDecoder, directions},
          {kDecoderBias, at::zeros({row_width_}, at::kDouble)}};
}

DifferentiableLoss CrosscoderObjective::Loss(const Parameters& p, const ObjectiveState& state, const TrainingRows& rows,
                                             const TrainingContext& context) const {
  const at::Tensor x = Operand(context.matmul, rows.input);
  const at::Tensor acts = at::relu(at::addmm(p.at(kEncoderBias), x, p.at(kEncoder).t()));
  const at::Tensor error = rows.target - at::addmm(p.at(kDecoderBias), acts, p.at(kDecoder));
  const at::Tensor mse = error.square().sum(1).mean();
  const at::Tensor sparsity = (acts * SiteNorms(p.at(kDecoder), NormWidths()).sum(1)).sum(1).mean();

  DifferentiableLoss loss;
  loss.total = mse + options_.sparsity_coefficient * context.sparsity_scale * sparsity;
  loss.terms = {{"mse", mse.item<double>()}, {"sparsity", sparsity.item<double>()}};
  const at::Tensor fired = acts.nonzero().select(1, 1);
  const at::Tensor dead = CountFiring(options_.dead, x.size(0), fired, state, loss.next_state);
  loss.figures = {error.square().sum().item<double>(), static_cast<double>(fired.numel()), dead.numel()};
  return loss;
}

Evaluation CrosscoderObjective::Evaluate(const Parameters& p, const ObjectiveState& state, const TrainingRows& rows,
                                         const TrainingContext& context) const {
  if (!rows.input.is_cpu()) return Differentiate(*this, p, state, rows, context);
  const at::Tensor x = Operand(context.matmul, rows.input);
  const at::Tensor& decoder = p.at(kDecoder);
  const double count = static_cast<double>(x.size(0));
  const double coefficient = options_.sparsity_coefficient * context.sparsity_scale;
  const SparseActivations active =
      EncodeAbove(x, p.at(kEncoder), p.at(kEncoderBias), at::zeros_like(p.at(kEncoderBias)), context.matmul);
  const EntriesByFeature by_feature = GroupByFeature(active);
  const at::Tensor features = active.features.to(at::kLong);
  const at::Tensor error = rows.target - p.at(kDecoderBias) - SparseTimesDense(active, decoder);

  Evaluation result;
  Parameters& gradient = result.gradients;
  for (const auto& [name, parameter] : p) gradient[name] = at::zeros_like(parameter);
  const at::Tensor output_gradient = error * (-2 / count);
  at::Tensor entry_gradient = BackpropagateDecoding(active, by_feature, output_gradient, decoder, gradient[kDecoder]);
  at::Tensor sums = at::zeros_like(p.at(kEncoderBias));
  AddSumsByFeature(by_feature, active.values, sums);  // of f, over rows
  const at::Tensor norms = SiteNorms(decoder, NormWidths()), weight = norms.sum(1);
  entry_gradient += (coefficient / count) * weight.index_select(0, features);
  int64_t column = 0, site = 0;
  for (const int64_t width : NormWidths()) {
    gradient[kDecoder].narrow(1, column, width) +=
        NormGradient(decoder.narrow(1, column, width), norms.select(1, site++), sums * (coefficient / count));
    column += width;
  }
  BackpropagateEncoding(by_feature, entry_gradient, x, gradient[kEncoder], gradient[kEncoderBias]);
  gradient[kDecoderBias] = output_gradient.sum(0);

  const double squared_error = error.square().sum(at::kDouble).item<double>();
  const double sparsity = (sums * weight).sum(at::kDouble).item<double>() / count;
  result.terms = {{"mse", squared_error / count}, {"sparsity", sparsity}};
  result.loss = squared_error / count + coefficient * sparsity;
  const at::Tensor dead = CountFiring(options_.dead, x.size(0), features, state, result.next_state);
  result.figures = {squared_error, static_cast<double>(features.numel()), dead.numel()};
  return result;
}

DictionaryWeights CrosscoderObjective::Export(const Parameters& p, const ObjectiveState&) const {
  DictionaryWeights weights = ExportedMatrices("standard", p, /*apply_b_dec_to_input=*/false);
  weights.tensors["b_enc"] = p.at(kEncoderBias).clone();
  return weights;
}

}  // namespace lifescope
