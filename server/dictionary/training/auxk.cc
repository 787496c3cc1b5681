#include "server/dictionary/training/auxk.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "server/dictionary/sparse_encoder.h"
#include "server/dictionary/sparse_rows.h"
#include "server/dictionary/top_k.h"

namespace lifescope {
namespace {

// Scores that may be negative exist for this many rows at once.
constexpr int64_t kRowsAtOnce = 256;

int64_t WantedCount(const AuxKOptions& options, const AuxKInput& input) {
  return options.k > 0 ? options.k : std::max<int64_t>(input.target.size(1) / 2, 1);
}

int64_t SelectedCount(const AuxKOptions& options, const AuxKInput& input) {
  return std::min(WantedCount(options, input), input.dead.numel());
}

// Of the summed squared error; 0 when there is no loss.
double Factor(const AuxKOptions& options, const AuxKInput& input) {
  if (options.coefficient == 0 || input.dead.numel() == 0) return 0;
  const double factor = FactorOf(options.scale, options.deviation_of_target ? input.target : input.error.detach());
  if (!std::isfinite(factor)) return 0;
  const double share = static_cast<double>(input.dead.numel()) / static_cast<double>(WantedCount(options, input));
  return options.scale_by_dead_share ? factor * std::min(share, 1.0) : factor;
}

// The k largest of each row, also those that are not above 0.
SparseActivations EncodeLargest(const at::Tensor& rows, const at::Tensor& encoder, const at::Tensor& bias, int64_t k) {
  std::vector<at::Tensor> features, values;
  for (int64_t row = 0; row < rows.size(0); row += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, rows.size(0) - row);
    const at::Tensor scores = at::addmm(bias, rows.narrow(0, row, count), encoder.t());
    const at::Tensor chosen = TopKIndices(scores, k);
    features.push_back(chosen.flatten().to(at::kInt));
    values.push_back(scores.gather(1, chosen).flatten());
  }
  return {at::arange(0, rows.size(0) * k + 1, k, at::kLong), at::cat(features), at::cat(values), encoder.size(0)};
}

// Pre-activations of the chosen dead features.
SparseActivations EncodeDead(const AuxKOptions& options, const AuxKInput& input, const at::Tensor& rows,
                             const at::Tensor& encoder, const at::Tensor& bias) {
  at::Tensor dead_encoder = encoder.index_select(0, input.dead), dead_bias = bias.index_select(0, input.dead);
  at::Tensor dead_norm;
  if (input.norm.defined()) {
    dead_norm = input.norm.index_select(0, input.dead);
    dead_encoder *= dead_norm.unsqueeze(1);
    dead_bias *= dead_norm;
  }
  const int64_t k = SelectedCount(options, input);
  SparseActivations active =
      options.relu ? EncodeTopK(rows, dead_encoder, dead_bias, k) : EncodeLargest(rows, dead_encoder, dead_bias, k);
  const at::Tensor place = active.features.to(at::kLong);
  if (dead_norm.defined()) active.values = active.values / dead_norm.index_select(0, place);
  active.features = input.dead.index_select(0, place).to(at::kInt);
  active.feature_count = encoder.size(0);
  return active;
}

}  // namespace

void CheckAuxK(const AuxKOptions& options) {
  TORCH_CHECK_VALUE(std::isfinite(options.coefficient) && options.coefficient >= 0, "auxk coefficient is ",
                    options.coefficient, ", expected 0 or more");
  TORCH_CHECK_VALUE(options.k >= 0, "auxk k is ", options.k, ", expected 0 or more");
}

at::Tensor AuxKLoss(const AuxKOptions& options, const AuxKInput& input, const at::Tensor& pre_activations,
                    const at::Tensor& decoder, const at::Tensor& decoder_bias) {
  const double factor = Factor(options, input);
  if (factor == 0) return at::zeros({}, decoder.options());
  at::Tensor pre = pre_activations.index_select(1, input.dead);
  if (!options.trains_encoder) pre = pre.detach();
  const at::Tensor scores = input.norm.defined() ? pre * input.norm.index_select(0, input.dead) : pre;
  const at::Tensor chosen = TopKIndices(scores, SelectedCount(options, input));
  at::Tensor values = pre.gather(1, chosen);
  if (options.relu) values = values.relu();
  at::Tensor reconstruction = at::zeros_like(pre).scatter(1, chosen, values).mm(decoder.index_select(0, input.dead));
  at::Tensor error = options.detach_error ? input.error.detach() : input.error;
  if (options.bias != AuxKOptions::Bias::kNone) reconstruction = reconstruction + decoder_bias;
  if (options.bias == AuxKOptions::Bias::kBothSides) error = error + decoder_bias.detach();
  return (error - reconstruction).square().sum() * factor;
}

AuxKEvaluation EvaluateAuxK(const AuxKOptions& options, const AuxKInput& input, const at::Tensor& encoder_input,
                            const at::Tensor& encoder, const at::Tensor& bias, const at::Tensor& decoder,
                            const at::Tensor& decoder_bias, GradientSums& sums) {
  const double factor = Factor(options, input);
  if (factor == 0) return {};
  const SparseActivations active = EncodeDead(options, input, encoder_input, encoder, bias);
  at::Tensor unexplained = input.error - SparseTimesDense(active, decoder);
  if (options.bias == AuxKOptions::Bias::kAdded) unexplained -= decoder_bias;
  const at::Tensor output_gradient = unexplained * (-2 * options.coefficient * factor);
  BackpropagateReconstruction(active, output_gradient, decoder, options.trains_encoder ? encoder_input : at::Tensor(),
                              sums);
  return {factor * SquaredNorm(unexplained), output_gradient};
}

}  // namespace lifescope
