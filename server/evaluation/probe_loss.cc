#include "server/evaluation/probe_loss.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <cmath>

#include "server/dictionary/sparse_rows.h"

namespace lifescope {
namespace {

constexpr int kIterations = 200;
constexpr int kHalvings = 40;
// Per row. Convergence is quadratic: the step of which the loss promises no more than this is the last one.
constexpr double kLastDecrement = 1e-14;

double Softplus(double z) { return z > 0 ? z + std::log1p(std::exp(-z)) : std::log1p(std::exp(z)); }
double Sigmoid(double z) { return z >= 0 ? 1 / (1 + std::exp(-z)) : std::exp(z) / (1 + std::exp(z)); }

double Entropy(double p) { return -(p * std::log(p) + (1 - p) * std::log1p(-p)); }

// The rows of one feature.
struct FeatureRows {
  std::vector<double> values;  // where it is active
  std::vector<char> labels;
  double inactive_positives = 0, inactive_negatives = 0;

  double row_count() const { return static_cast<double>(values.size()) + inactive_positives + inactive_negatives; }
};

// Sum over rows of the loss.
double Loss(const FeatureRows& rows, double w, double b) {
  double loss = rows.inactive_positives * Softplus(-b) + rows.inactive_negatives * Softplus(b);
  for (size_t i = 0; i < rows.values.size(); ++i) {
    const double z = w * rows.values[i] + b;
    loss += Softplus(rows.labels[i] ? -z : z);
  }
  return loss;
}

struct Step {
  double w = 0, b = 0;
  double decrement = 0;  // gradient x step
};

Step NewtonStep(const FeatureRows& rows, double w, double b) {
  const double inactive = Sigmoid(b);
  const double inactive_count = rows.inactive_positives + rows.inactive_negatives;
  double gw = 0, gb = inactive_count * inactive - rows.inactive_positives;
  double hww = 0, hwb = 0, hbb = inactive_count * inactive * (1 - inactive);
  for (size_t i = 0; i < rows.values.size(); ++i) {
    const double f = rows.values[i], p = Sigmoid(w * f + b);
    const double error = p - (rows.labels[i] ? 1 : 0), curvature = p * (1 - p);
    gw += error * f;
    gb += error;
    hww += curvature * f * f;
    hwb += curvature * f;
    hbb += curvature;
  }
  const double determinant = hww * hbb - hwb * hwb;
  // A feature that is constant, or labels that are separated as well as numbers can tell.
  if (!(determinant > 1e-14 * hww * hbb)) return {};
  Step step{(hbb * gw - hwb * gb) / determinant, (hww * gb - hwb * gw) / determinant, 0};
  step.decrement = gw * step.w + gb * step.b;
  return step;
}

FeatureProbe At(const FeatureRows& rows, double w, double b) { return {w, b, Loss(rows, w, b) / rows.row_count()}; }

FeatureProbe Fit(const FeatureRows& rows, double share) {
  double w = 0, b = std::log(share) - std::log1p(-share);
  double loss = Loss(rows, w, b);
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    Step step = NewtonStep(rows, w, b);
    if (step.decrement <= kLastDecrement * rows.row_count()) return At(rows, w - step.w, b - step.b);
    double next = Loss(rows, w - step.w, b - step.b);
    for (int halving = 0; halving < kHalvings && !(next <= loss); ++halving) {
      step = {step.w / 2, step.b / 2, step.decrement};
      next = Loss(rows, w - step.w, b - step.b);
    }
    if (!(next <= loss)) break;  // at the minimum, to rounding
    w -= step.w;
    b -= step.b;
    loss = next;
  }
  return At(rows, w, b);
}

void CheckLabels(const SparseActivations& codes, const at::Tensor& labels) {
  TORCH_CHECK_VALUE(labels.dim() == 1 && labels.scalar_type() == at::kBool && labels.size(0) == codes.rows(),
                    "labels: ", labels.scalar_type(), " ", labels.sizes(), ", expected BOOL [", codes.rows(), "]");
}

double ShareOf(const SparseActivations& codes, const at::Tensor& labels) {
  CheckLabels(codes, labels);
  const int64_t positives = labels.sum().item<int64_t>();
  TORCH_CHECK_VALUE(0 < positives && positives < codes.rows(), "labels: ", positives, " of ", codes.rows(),
                    " are true, expected some of each");
  return static_cast<double>(positives) / static_cast<double>(codes.rows());
}

}  // namespace

std::vector<FeatureProbe> FitFeatureProbes(const SparseActivations& codes, const at::Tensor& labels) {
  const double share = ShareOf(codes, labels);
  const double positives = labels.sum().item<double>();
  const at::Tensor values = codes.values.to(at::kDouble).contiguous();
  const at::Tensor truth = labels.contiguous();
  const EntriesByFeature by_feature = GroupByFeature(codes);
  std::vector<FeatureProbe> probes(codes.feature_count);
  at::parallel_for(0, codes.feature_count, 16, [&](int64_t begin, int64_t end) {
    for (int64_t feature = begin; feature < end; ++feature) {
      FeatureRows rows;
      for (int64_t i = by_feature.offsets[feature]; i < by_feature.offsets[feature + 1]; ++i) {
        rows.values.push_back(values.data_ptr<double>()[by_feature.entries[i]]);
        rows.labels.push_back(truth.data_ptr<bool>()[by_feature.rows[i]]);
      }
      double active_positives = 0;
      for (const char label : rows.labels) active_positives += label;
      rows.inactive_positives = positives - active_positives;
      rows.inactive_negatives =
          static_cast<double>(codes.rows()) - positives - (static_cast<double>(rows.labels.size()) - active_positives);
      probes[feature] = Fit(rows, share);
    }
  });
  return probes;
}

ProbeLoss MeasureProbeLoss(const SparseActivations& codes, const at::Tensor& labels) {
  const std::vector<FeatureProbe> probes = FitFeatureProbes(codes, labels);
  ProbeLoss best;
  const double share = ShareOf(codes, labels);
  best.constant_loss = Entropy(share);
  best.loss = best.constant_loss;
  best.intercept = std::log(share) - std::log1p(-share);
  for (size_t feature = 0; feature < probes.size(); ++feature) {
    if (probes[feature].loss < best.loss) {
      best = {static_cast<int64_t>(feature), probes[feature].weight, probes[feature].intercept, probes[feature].loss,
              best.constant_loss};
    }
  }
  return best;
}

at::Tensor LossesOf(const ProbeLoss& probe, const SparseActivations& codes, const at::Tensor& labels) {
  CheckLabels(codes, labels);
  const at::Tensor truth = labels.contiguous(), values = codes.values.to(at::kDouble).contiguous();
  const at::Tensor features = codes.features.contiguous(), offsets = codes.row_offsets.contiguous();
  at::Tensor losses = at::empty({codes.rows()}, at::kDouble);
  for (int64_t row = 0; row < codes.rows(); ++row) {
    double z = probe.intercept;
    for (int64_t i = offsets.data_ptr<int64_t>()[row]; i < offsets.data_ptr<int64_t>()[row + 1]; ++i) {
      if (features.data_ptr<int32_t>()[i] == probe.feature) z += probe.weight * values.data_ptr<double>()[i];
    }
    losses.data_ptr<double>()[row] = Softplus(truth.data_ptr<bool>()[row] ? -z : z);
  }
  return losses;
}

}  // namespace lifescope
