#include "server/dictionary/baselines/fit_baseline.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "server/dictionary/baselines/fast_ica.h"
#include "server/dictionary/baselines/matched_l1.h"
#include "server/dictionary/baselines/nmf.h"
#include "server/dictionary/baselines/random_directions.h"
#include "server/dictionary/baselines/running_covariance.h"
#include "server/dictionary/baselines/sparse_coding_trainer.h"

namespace lifescope {
namespace {

at::Tensor Signed(const at::Tensor& directions) { return at::cat({directions, -directions}); }

// Directions and how to encode over them, before k is chosen.
struct LinearFit {
  at::Tensor encoder;  // [features, width]: a feature is <row, x - offset>
  at::Tensor decoder;  // [features, width], rows of norm 1
  at::Tensor offset;   // [width]
};

DictionaryWeights Pursuit(const at::Tensor& directions, const at::Tensor& offset, const BaselineOptions& options) {
  return {"gradient_pursuit", {{"W_dec", directions}, {"b_dec", offset}}, options.k};
}

DictionaryWeights WeightsOf(const LinearFit& fit, const BaselineOptions& options) {
  if (options.uses_gradient_pursuit) return Pursuit(fit.decoder, fit.offset, options);
  return {options.k > 0 ? "topk" : "standard",
          {{"W_enc", fit.encoder.t().contiguous()},
           {"W_dec", fit.decoder},
           {"b_enc", at::zeros({fit.encoder.size(0)}, at::kDouble)},
           {"b_dec", fit.offset}},
          options.k};
}

DictionaryWeights Search(const at::Tensor& directions, const at::Tensor& offset, double l1, int64_t iterations) {
  DictionaryWeights weights{"sparse_coding", {{"W_dec", directions}, {"b_dec", offset}}};
  weights.l1 = l1;
  weights.iterations = iterations;
  return weights;
}

RunningCovariance ReadCovariance(const RowSource& source) {
  RunningCovariance covariance;
  int64_t width = 0;
  for (at::Tensor rows; (rows = NextRows(source, width)).defined();) {
    covariance.Add(rows);
    width = rows.size(1);
  }
  TORCH_CHECK_VALUE(covariance.row_count() > 0, "there is no row to fit, expected at least 1");
  return covariance;
}

FittedBaseline FitLinear(const BaselineOptions& options, const RowSource& source) {
  const RunningCovariance covariance = ReadCovariance(source);
  const int64_t width = covariance.mean().size(0);
  at::Tensor directions;
  if (options.kind == BaselineKind::kPca) {
    directions = Signed(PrincipalDirectionsOf(covariance.covariance()).directions);
  } else if (options.kind == BaselineKind::kRandom) {
    directions = RandomDirections(options.feature_count > 0 ? options.feature_count : 2 * width, width, options.seed);
  } else {
    directions = at::eye(width, at::kDouble);
    if (options.kind == BaselineKind::kSignedNeurons) directions = Signed(directions);
  }
  const at::Tensor offset = options.is_centred ? covariance.mean() : at::zeros_like(covariance.mean());
  return {WeightsOf({directions, directions, offset}, options), covariance.row_count(), {}};
}

FittedBaseline FitIndependent(const BaselineOptions& options, const RowSource& source, const FitProgress& progress) {
  const at::Tensor rows = TakeRows(source, options.sample_rows);
  IcaOptions ica;
  ica.seed = options.seed;
  const IcaFit fit = FitIca(rows, ica, progress);
  const at::Tensor directions = fit.mixing.t() * fit.scale;  // [components, width]
  // A feature is as large as what it adds, so that the k largest are those that matter most.
  const at::Tensor norm = at::norm(directions, 2, 1, true);
  const LinearFit linear{Signed(fit.unmixing / fit.scale * norm), Signed(directions / norm), fit.mean};
  std::string remark = fit.change < ica.tolerance ? "converged in " : "did not converge in ";
  remark += std::to_string(fit.iterations) + " iterations";
  return {WeightsOf(linear, options), rows.size(0), remark};
}

FittedBaseline FitNonNegative(const BaselineOptions& options, const RowSource& source, const FitProgress& progress) {
  const at::Tensor rows = TakeRows(source, options.sample_rows);
  NmfOptions nmf;
  nmf.component_count = options.feature_count > 0 ? options.feature_count : std::min(rows.size(0), rows.size(1));
  const NmfFit fit = FitNmf(rows, nmf, progress);
  const at::Tensor norm = at::norm(fit.components, 2, 1, true);
  const at::Tensor directions = fit.components / norm.masked_fill(norm == 0, 1);
  const at::Tensor offset = at::full({rows.size(1)}, fit.shift, at::kDouble);
  std::string remark = std::to_string(fit.iterations);
  remark += " iterations";
  return {options.k > 0 ? Pursuit(directions, offset, options) : Search(directions, offset, 0, options.iterations),
          rows.size(0), remark};
}

FittedBaseline FitSparseCoding(const BaselineOptions& options, const RowSource& source) {
  constexpr int64_t kStatisticBatches = 16;
  const at::Tensor first = TakeRows(source, kStatisticBatches * options.batch_rows);
  const at::Tensor offset = first.to(at::kDouble).mean(0);
  const double scale = (first.to(at::kDouble) - offset).square().mean().sqrt().item<double>();
  TORCH_CHECK_VALUE(scale > 0, "rows are all equal, expected at least 2 that differ");
  SparseCodingTrainerOptions training;
  training.activation_dim = first.size(1);
  training.feature_count = options.feature_count > 0 ? options.feature_count : 2 * first.size(1);
  training.k = options.k;
  training.step_size = options.step_size;
  training.seed = options.seed;
  SparseCodingTrainer trainer(training);
  int64_t row_count = 0, step_count = 0;
  const auto learn = [&](const at::Tensor& rows) {
    for (const at::Tensor& batch : rows.split(options.batch_rows)) {
      trainer.Step((batch.to(at::kDouble) - offset) / scale);
      ++step_count;
    }
    row_count += rows.size(0);
  };
  learn(first);
  for (at::Tensor rows; (rows = NextRows(source, first.size(1))).defined();) learn(rows);
  FittedBaseline fitted;
  fitted.row_count = row_count;
  fitted.remark = std::to_string(step_count);
  fitted.remark += " steps";
  at::Tensor directions = trainer.directions().to(at::kDouble);
  directions = directions / at::norm(directions, 2, 1, true);
  if (options.uses_gradient_pursuit) {
    fitted.weights = Pursuit(directions, offset, options);
  } else {
    const at::Tensor rows = first.to(at::kDouble) - offset;
    const double l1 = MatchedL1(rows, directions, static_cast<double>(options.k), options.iterations);
    fitted.weights = Search(directions, offset, l1, options.iterations);
  }
  return fitted;
}

void CheckOptions(const BaselineOptions& o) {
  TORCH_CHECK_VALUE(o.k >= 0, "k is ", o.k, ", expected 0 or more");
  TORCH_CHECK_VALUE(o.feature_count >= 0, "feature_count is ", o.feature_count, ", expected 0 or more");
  TORCH_CHECK_VALUE(!o.uses_gradient_pursuit || o.k > 0, "gradient pursuit with k 0, expected at least 1");
  TORCH_CHECK_VALUE(o.sample_rows > 0 && o.batch_rows > 0 && o.iterations > 0, "sample_rows ", o.sample_rows,
                    ", batch_rows ", o.batch_rows, ", iterations ", o.iterations, ": expected at least 1 of each");
  TORCH_CHECK_VALUE(o.kind != BaselineKind::kSparseCoding || o.k > 0, "sparse coding with k 0, expected at least 1");
}

FittedBaseline Fit(const BaselineOptions& options, const RowSource& source, const FitProgress& progress) {
  switch (options.kind) {
    case BaselineKind::kIca:
      return FitIndependent(options, source, progress);
    case BaselineKind::kNmf:
      return FitNonNegative(options, source, progress);
    case BaselineKind::kSparseCoding:
      return FitSparseCoding(options, source);
    default:
      return FitLinear(options, source);
  }
}

}  // namespace

const std::vector<std::string>& BaselineKindNames() {
  static const std::vector<std::string> names{"neurons", "signed-neurons", "random", "pca", "ica",
                                              "nmf",     "sparse-coding"};
  return names;
}

BaselineKind ParseBaselineKind(const std::string& name) {
  const std::vector<std::string>& names = BaselineKindNames();
  const auto found = std::find(names.begin(), names.end(), name);
  std::string all;
  for (const std::string& one : names) all += (all.empty() ? "" : ", ") + one;
  TORCH_CHECK_VALUE(found != names.end(), "kind is '", name, "', expected one of ", all);
  return static_cast<BaselineKind>(found - names.begin());
}

FittedBaseline FitBaseline(const BaselineOptions& options, const RowSource& source, const FitProgress& progress) {
  CheckOptions(options);
  FittedBaseline fitted = Fit(options, source, progress);
  const int64_t features = fitted.weights.tensors.at("W_dec").size(0);
  TORCH_CHECK_VALUE(options.k <= features, "k is ", options.k, ", expected at most the number of features, ", features);
  return fitted;
}

}  // namespace lifescope
