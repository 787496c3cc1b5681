#include "server/dictionary/training/topk_objective.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

#include "server/dictionary/geometric_median.h"
#include "server/dictionary/sparse_rows.h"
#include "server/dictionary/training/exported_matrices.h"
#include "server/dictionary/training/initial_directions.h"
#include "server/dictionary/training/sparse_reconstruction.h"

namespace lifescope {
namespace {

using Over = TopKSelection::Over;

// Features of Multi-TopK for each of TopK.
constexpr double kMultiple = 4;

// The weighted squared error of all prefixes, from dense activations, and the error of the whole.
struct DenseErrors {
  at::Tensor weighted, error;
};
DenseErrors ReconstructDense(const at::Tensor& acts, const at::Tensor& decoder, const at::Tensor& target,
                             const Prefixes& prefixes) {
  DenseErrors result;
  for (size_t i = 0; i < prefixes.widths.size(); ++i) {
    const int64_t width = prefixes.widths[i];
    result.error = target - acts.narrow(1, 0, width).mm(decoder.narrow(0, 0, width));
    const at::Tensor part = result.error.square().sum() * prefixes.weights[i];
    result.weighted = i == 0 ? part : result.weighted + part;
  }
  return result;
}

double ActiveEntries(const SparseActivations& selected) {
  return static_cast<double>((selected.values > 0).sum().item<int64_t>());
}

double WeightedSquaredError(const NestedErrors& nested, const Prefixes& prefixes) {
  double sum = 0;
  for (size_t i = 0; i < nested.errors.size(); ++i) sum += prefixes.weights[i] * SquaredNorm(nested.errors[i]);
  return sum;
}

}  // namespace

TopKObjective::TopKObjective(const TopKOptions& options) : options_(options) {
  CheckWidths(options.input_dim, options.feature_count);
  TORCH_CHECK_VALUE(options.output_dim >= 0, "output_dim is ", options.output_dim, ", expected 0 or more");
  CheckSelection(options.selection, options.feature_count);
  TORCH_CHECK_VALUE(!options.selection.by_decoder_norm || options.output_dim == 0,
                    "by_decoder_norm is true, expected false for a transcoder, whose decoder starts at 0");
  CheckPrefixes(options.prefixes, options.feature_count);
  CheckAuxK(options.auxk);
  CheckThresholdMean(options.threshold);
  const auto positive = [](const char* name, double value) {
    TORCH_CHECK_VALUE(std::isfinite(value) && value > 0, name, " is ", value, ", expected above 0");
  };
  positive("error_factor", options.error_factor);
  positive("initial_norm", options.initial_norm);
  TORCH_CHECK_VALUE(options.dead.after > 0, "dead.after is ", options.dead.after, ", expected at least 1");
  TORCH_CHECK_VALUE(options.fires_above >= 0, "fires_above is ", options.fires_above, ", expected 0 or more");
  TORCH_CHECK_VALUE(std::isfinite(options.multi_topk_weight) && options.multi_topk_weight >= 0, "multi_topk_weight is ",
                    options.multi_topk_weight, ", expected 0 or more");
  TORCH_CHECK_VALUE(options.multi_topk_weight == 0 || options.selection.over == Over::kRow, "multi_topk_weight is ",
                    options.multi_topk_weight, ", expected 0 for a selection other than kRow");
}

at::Tensor TopKObjective::EncoderInput(const Parameters& p, const at::Tensor& input, Matmul matmul) const {
  return Operand(matmul, centres_input() ? input - p.at(kDecoderBias) : input);
}

at::Tensor TopKObjective::EncoderBias(const Parameters& p) const {
  return options_.has_encoder_bias ? p.at(kEncoderBias) : at::zeros({options_.feature_count}, p.at(kEncoder).options());
}

at::Tensor TopKObjective::SelectionNorm(const Parameters& p) const {
  return options_.selection.by_decoder_norm ? p.at(kDecoder).detach().norm(2, 1) : at::Tensor();
}

double TopKObjective::MultiTopK(int64_t step) const {
  return std::min(kMultiple * KAt(options_.selection, step), static_cast<double>(options_.feature_count));
}

double TopKObjective::ReconstructedNorm(const at::Tensor& directions, uint64_t seed) const {
  constexpr int64_t kRows = 256;
  const at::Tensor scores = RandomUnitRows(kRows, options_.input_dim, ~seed).mm(directions.t());
  const at::Tensor selected = SelectDense(options_.selection.over, KAt(options_.selection, 0), scores);
  return scores.relu().masked_fill(~selected, 0).mm(directions).norm(2, 1).mean().item<double>();
}

Parameters TopKObjective::Initialise(uint64_t seed) const {
  const int64_t features = options_.feature_count;
  const at::Tensor directions = RandomUnitRows(features, options_.input_dim, seed) * options_.initial_norm;
  Parameters parameters{{kEncoder, directions}, {kDecoderBias, at::zeros({output_dim()}, at::kDouble)}};
  parameters[kDecoder] = is_transcoder() ? at::zeros({features, output_dim()}, at::kDouble) : directions;
  if (options_.rescales_encoder) parameters[kEncoder] = directions / ReconstructedNorm(directions, seed);
  if (options_.has_encoder_bias) parameters[kEncoderBias] = at::zeros({features}, at::kDouble);
  if (options_.has_skip) parameters[kSkip] = at::zeros({output_dim(), options_.input_dim}, at::kDouble);
  return parameters;
}

ObjectiveState TopKObjective::InitialState() const {
  ObjectiveState state = Objective::InitialState();
  state[kInferenceThreshold] = at::scalar_tensor(InitialThreshold(options_.threshold), at::kDouble);
  return state;
}

void TopKObjective::InitialiseFromRows(const TrainingRows& rows, Parameters& p) const {
  if (options_.bias_start == TopKOptions::BiasStart::kZero) return;
  p[kDecoderBias] =
      options_.bias_start == TopKOptions::BiasStart::kMean ? rows.target.mean(0) : GeometricMedian(rows.target);
  if (is_transcoder() && options_.has_encoder_bias) p[kEncoderBias] = -p.at(kEncoder).mv(rows.input.mean(0));
}

at::Tensor TopKObjective::Advance(const SparseActivations& scores, const SparseActivations& fired,
                                  const ObjectiveState& state, int64_t step, ObjectiveState& next) const {
  const auto smallest = SmallestActive(scores, options_.selection.over != Over::kBatch);
  next[kInferenceThreshold] = at::scalar_tensor(
      NextThreshold(options_.threshold, state.at(kInferenceThreshold).item<double>(), smallest, step), at::kDouble);
  at::Tensor features = fired.features.to(at::kLong);
  if (options_.selection.over != Over::kGroups) {
    features = features.masked_select(fired.values > options_.fires_above);
  }
  return CountFiring(options_.dead, scores.rows(), features, state, next);
}

DifferentiableLoss TopKObjective::Loss(const Parameters& p, const ObjectiveState& state, const TrainingRows& rows,
                                       const TrainingContext& context) const {
  const at::Tensor &decoder = p.at(kDecoder), &decoder_bias = p.at(kDecoderBias);
  const at::Tensor pre = at::addmm(EncoderBias(p), EncoderInput(p, rows.input, context.matmul), p.at(kEncoder).t());
  const at::Tensor norm = SelectionNorm(p);
  const at::Tensor scores = (norm.defined() ? pre * norm : pre).detach();
  const at::Tensor selected = SelectDense(options_.selection.over, KAt(options_.selection, context.step), scores);
  at::Tensor target = rows.target - decoder_bias;
  if (options_.has_skip) target = target - rows.input.mm(p.at(kSkip).t());
  const Prefixes prefixes = PrefixesAt(options_.prefixes, options_.feature_count, context.step);
  // relu(pre), whose gradient is that of pre: only GroupMax selects where they differ.
  const at::Tensor values = pre - pre.detach().clamp_max(0);
  const DenseErrors errors = ReconstructDense(values.masked_fill(~selected, 0), decoder, target, prefixes);

  DifferentiableLoss loss;
  const SparseActivations kept = KeepWhere(scores.relu(), selected);
  const bool has_multi = options_.multi_topk_weight > 0;
  const at::Tensor more = has_multi ? SelectDense(Over::kRow, MultiTopK(context.step), scores) : selected;
  const SparseActivations fired = has_multi ? KeepWhere(scores, more) : kept;
  const at::Tensor dead = Advance(kept, fired, state, context.step, loss.next_state);
  const double factor = options_.error_factor * FactorOf(options_.scale, rows.target);
  const at::Tensor reconstruction = errors.weighted * factor;
  const at::Tensor auxiliary =
      AuxKLoss(options_.auxk, {dead.to(pre.device()), errors.error, rows.target, norm}, pre, decoder, decoder_bias);
  loss.total = reconstruction + options_.auxk.coefficient * auxiliary;
  loss.terms = {{"reconstruction", reconstruction.item<double>()}, {"auxiliary", auxiliary.item<double>()}};
  if (has_multi) {
    const at::Tensor given = options_.multi_topk_trains_encoder ? values : values.detach();
    const Prefixes whole{{options_.feature_count}, {1}};
    const at::Tensor multi = ReconstructDense(given.masked_fill(~more, 0), decoder, target, whole).weighted * factor;
    loss.total = loss.total + options_.multi_topk_weight * multi;
    loss.terms["multi_topk"] = multi.item<double>();
  }
  loss.figures = {SquaredNorm(errors.error), ActiveEntries(kept), dead.numel()};
  return loss;
}

Evaluation TopKObjective::Evaluate(const Parameters& p, const ObjectiveState& state, const TrainingRows& rows,
                                   const TrainingContext& context) const {
  if (!rows.input.is_cpu()) return Differentiate(*this, p, state, rows, context);
  const at::Tensor &encoder = p.at(kEncoder), &decoder = p.at(kDecoder), &decoder_bias = p.at(kDecoderBias);
  const at::Tensor input = EncoderInput(p, rows.input, context.matmul), bias = EncoderBias(p), norm = SelectionNorm(p);
  const at::Tensor score_encoder = norm.defined() ? encoder * norm.unsqueeze(1) : encoder;
  const at::Tensor score_bias = norm.defined() ? bias * norm : bias;
  // Scores by norm are not products of rounded operands.
  const Matmul matmul = norm.defined() ? Matmul::kFull : context.matmul;
  const auto to_pre_activations = [&norm](SparseActivations scores) {
    if (norm.defined()) scores.values = scores.values / norm.index_select(0, scores.features.to(at::kLong));
    return scores;
  };
  at::Tensor target = rows.target - decoder_bias;
  if (options_.has_skip) target -= rows.input.mm(p.at(kSkip).t());

  Evaluation result;
  const SparseActivations scores = SelectSparse(options_.selection.over, KAt(options_.selection, context.step), input,
                                                score_encoder, score_bias, matmul);
  const bool has_multi = options_.multi_topk_weight > 0;
  const SparseActivations more =
      has_multi ? SelectSparse(Over::kRow, MultiTopK(context.step), input, score_encoder, score_bias, matmul) : scores;
  const at::Tensor dead = Advance(scores, more, state, context.step, result.next_state);
  const Prefixes prefixes = PrefixesAt(options_.prefixes, options_.feature_count, context.step);
  const NestedErrors nested = ReconstructNested(to_pre_activations(scores), decoder, target, prefixes);
  const at::Tensor& error = nested.errors.back();
  const double factor = options_.error_factor * FactorOf(options_.scale, rows.target);

  GradientSums sums{at::zeros_like(encoder), at::zeros_like(bias), at::zeros_like(decoder)};
  const AuxKEvaluation auxiliary =
      EvaluateAuxK(options_.auxk, {dead, error, rows.target, norm}, input, encoder, bias, decoder, decoder_bias, sums);
  at::Tensor common =
      BackpropagateNested(nested, prefixes, factor,
                          options_.auxk.detach_error ? at::Tensor() : auxiliary.output_gradient, decoder, input, sums);
  result.terms = {{"reconstruction", factor * WeightedSquaredError(nested, prefixes)}, {"auxiliary", auxiliary.loss}};
  result.loss = result.terms["reconstruction"] + options_.auxk.coefficient * auxiliary.loss;
  if (has_multi) {
    const Prefixes whole{{options_.feature_count}, {1}};
    const NestedErrors multi = ReconstructNested(to_pre_activations(more), decoder, target, whole);
    common = common + BackpropagateNested(multi, whole, factor * options_.multi_topk_weight, {}, decoder,
                                          options_.multi_topk_trains_encoder ? input : at::Tensor(), sums);
    result.terms["multi_topk"] = factor * WeightedSquaredError(multi, whole);
    result.loss += options_.multi_topk_weight * result.terms["multi_topk"];
  }

  Parameters& gradient = result.gradients;
  gradient[kDecoderBias] = common.sum(0);
  if (options_.auxk.bias != AuxKOptions::Bias::kNone && auxiliary.output_gradient.defined()) {
    gradient[kDecoderBias] += auxiliary.output_gradient.sum(0);
  }
  if (centres_input()) gradient[kDecoderBias] -= encoder.t().mv(sums.encoder_bias);
  if (options_.has_skip) gradient[kSkip] = common.t().mm(rows.input);
  if (options_.has_encoder_bias) gradient[kEncoderBias] = sums.encoder_bias;
  gradient[kEncoder] = sums.encoder;
  gradient[kDecoder] = sums.decoder;
  result.figures = {SquaredNorm(error), ActiveEntries(scores), dead.numel()};
  return result;
}

DictionaryWeights TopKObjective::Export(const Parameters& p, const ObjectiveState& state) const {
  Parameters folded = p;
  at::Tensor bias = EncoderBias(p).clone();
  if (const at::Tensor norm = SelectionNorm(p); norm.defined()) {
    folded[kEncoder] = p.at(kEncoder) * norm.unsqueeze(1);
    folded[kDecoder] = p.at(kDecoder) / norm.unsqueeze(1);
    bias *= norm;
  }
  const Over over = options_.selection.over;
  const char* architecture = over == Over::kBatch ? "jumprelu" : over == Over::kRow ? "topk" : "groupmax";
  DictionaryWeights weights = ExportedMatrices(architecture, folded, centres_input());
  weights.tensors["b_enc"] = bias;
  if (options_.has_skip) weights.tensors["W_skip"] = p.at(kSkip).clone();
  if (over == Over::kBatch) {
    weights.tensors["threshold"] = at::full_like(bias, std::max(state.at(kInferenceThreshold).item<double>(), 0.0));
  } else {
    weights.k = static_cast<int64_t>(options_.selection.k);
  }
  return weights;
}

}  // namespace lifescope
