#include "server/dictionary/topk_gradient.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "server/dictionary/sparse_rows.h"

namespace lifescope {
namespace {

// Pre-activations exist for this many rows at once: they stay in the cache until their largest are found.
constexpr int64_t kRowsAtOnce = 256;

SparseActivations EncodeTopK(const at::Tensor& centred, const at::Tensor& w_enc, const at::Tensor& b_enc, int64_t k) {
  std::vector<SparseActivations> parts;
  for (int64_t row = 0; row < centred.size(0); row += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, centred.size(0) - row);
    parts.push_back(KeepTopK(at::addmm(b_enc, centred.narrow(0, row, count), w_enc.t()), k));
  }
  return Concatenate(parts);
}

// As EncodeTopK, of the features `dead` (INT64, ascending) alone.
SparseActivations EncodeDead(const TopKParameters& p, const at::Tensor& centred, const at::Tensor& dead, int64_t k) {
  SparseActivations active =
      EncodeTopK(centred, p.w_enc.index_select(0, dead), p.b_enc.index_select(0, dead), std::min(k, dead.numel()));
  active.features = dead.index_select(0, active.features.to(at::kLong)).to(at::kInt);
  active.feature_count = p.w_enc.size(0);
  return active;
}

double SquaredNorm(const at::Tensor& rows) { return rows.square().sum().item<double>(); }

double SquaredDeviation(const at::Tensor& rows) { return SquaredNorm(rows - rows.mean(0)); }

// Adds what the loss' gradient by the output of a decoding gives to all but b_dec.
void Backpropagate(const TopKParameters& p, const SparseActivations& active, const at::Tensor& output_gradient,
                   const at::Tensor& centred, TopKParameters& gradient) {
  const EntriesByFeature by_feature = GroupByFeature(active);
  const at::Tensor pre_activation_gradient = DotProducts(active, output_gradient, p.w_dec);
  AddTransposedTimesDense(by_feature, active.values, output_gradient, gradient.w_dec);
  AddTransposedTimesDense(by_feature, pre_activation_gradient, centred, gradient.w_enc);
  AddSumsByFeature(by_feature, pre_activation_gradient, gradient.b_enc);
}

at::Tensor CountRowsSinceFired(const at::Tensor& before, const SparseActivations& active) {
  return (before + active.rows()).index_fill_(0, active.features.to(at::kLong), 0);
}

// The auxiliary loss, unweighted; adds auxk_alpha times its gradient.
double AddAuxiliary(const TopKParameters& p, const TopKObjective& objective, const at::Tensor& centred,
                    const at::Tensor& error, const at::Tensor& dead, TopKParameters& gradient) {
  if (objective.auxk_alpha == 0 || dead.numel() == 0) return 0;
  const double deviation = SquaredDeviation(error);
  if (!(deviation > 0)) return 0;
  const SparseActivations active = EncodeDead(p, centred, dead, objective.k_aux);
  const at::Tensor unexplained = error - SparseTimesDense(active, p.w_dec);
  Backpropagate(p, active, unexplained * (-2 * objective.auxk_alpha / deviation), centred, gradient);
  return SquaredNorm(unexplained) / deviation;
}

}  // namespace

TopKGradient ComputeTopKGradient(const TopKParameters& p, const TopKObjective& objective, const at::Tensor& x,
                                 const at::Tensor& rows_since_fired) {
  const double rows = static_cast<double>(x.size(0));
  const at::Tensor centred = x - p.b_dec;
  const SparseActivations active = EncodeTopK(centred, p.w_enc, p.b_enc, objective.k);
  const at::Tensor error = centred - SparseTimesDense(active, p.w_dec);

  TopKGradient out;
  out.rows_since_fired = CountRowsSinceFired(rows_since_fired, active);
  const at::Tensor dead = (out.rows_since_fired >= objective.dead_after_rows).nonzero().select(1, 0);
  TopKParameters& gradient = out.parameters;
  gradient = {at::zeros_like(p.w_enc), at::zeros_like(p.b_enc), at::zeros_like(p.w_dec), {}};
  const at::Tensor output_gradient = error * (-2 / rows);
  Backpropagate(p, active, output_gradient, centred, gradient);
  TopKStep& result = out.result;
  result.auxiliary = AddAuxiliary(p, objective, centred, error, dead, gradient);
  // b_dec is added to the output of the first decoding and subtracted from the input of the encoder.
  gradient.b_dec = output_gradient.sum(0) - p.w_enc.t().mv(gradient.b_enc);

  const double squared_error = SquaredNorm(error);
  result.reconstruction = squared_error / rows;
  result.loss = result.reconstruction + objective.auxk_alpha * result.auxiliary;
  result.fvu = squared_error / SquaredDeviation(x);
  result.l0 = static_cast<double>(active.features.numel()) / rows;
  result.dead_feature_count = dead.numel();
  return out;
}

}  // namespace lifescope
