#include "server/evaluation/sparse_probing.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "server/evaluation/binary_counts.h"

namespace lifescope {
namespace {

void CheckLabels(const LabelledCodes& rows) {
  TORCH_CHECK_VALUE(
      rows.labels.dim() == 1 && rows.labels.scalar_type() == at::kBool && rows.labels.size(0) == rows.codes.rows(),
      "labels: ", rows.labels.scalar_type(), " ", rows.labels.sizes(), ", expected BOOL [", rows.codes.rows(), "]");
}

// DOUBLE [rows, features.size()]: the activations of the given features alone.
at::Tensor Columns(const SparseActivations& codes, const std::vector<int64_t>& features) {
  std::vector<int64_t> column(codes.feature_count, -1);
  for (size_t i = 0; i < features.size(); ++i) column[features[i]] = static_cast<int64_t>(i);
  const auto width = static_cast<int64_t>(features.size());
  at::Tensor dense = at::zeros({codes.rows(), width}, at::kDouble);
  const at::Tensor values = codes.values.to(at::kDouble).contiguous();
  const at::Tensor indices = codes.features.contiguous(), offsets = codes.row_offsets.contiguous();
  for (int64_t row = 0; row < codes.rows(); ++row) {
    for (int64_t i = offsets.data_ptr<int64_t>()[row]; i < offsets.data_ptr<int64_t>()[row + 1]; ++i) {
      const int64_t place = column[indices.data_ptr<int32_t>()[i]];
      if (place >= 0) dense.data_ptr<double>()[row * width + place] = values.data_ptr<double>()[i];
    }
  }
  return dense;
}

// Mean over the positive rows minus mean over the others, of every feature.
std::vector<double> MeanDifferences(const LabelledCodes& rows) {
  const double positives = rows.labels.sum().item<double>();
  const double negatives = static_cast<double>(rows.labels.size(0)) - positives;
  const SparseActivations& codes = rows.codes;
  const at::Tensor values = codes.values.to(at::kDouble).contiguous(), labels = rows.labels.contiguous();
  const at::Tensor features = codes.features.contiguous(), offsets = codes.row_offsets.contiguous();
  std::vector<double> positive_sum(codes.feature_count, 0), negative_sum(codes.feature_count, 0);
  for (int64_t row = 0; row < codes.rows(); ++row) {
    std::vector<double>& sum = labels.data_ptr<bool>()[row] ? positive_sum : negative_sum;
    for (int64_t i = offsets.data_ptr<int64_t>()[row]; i < offsets.data_ptr<int64_t>()[row + 1]; ++i) {
      sum[features.data_ptr<int32_t>()[i]] += values.data_ptr<double>()[i];
    }
  }
  for (size_t i = 0; i < positive_sum.size(); ++i) {
    positive_sum[i] = positive_sum[i] / positives - negative_sum[i] / negatives;
  }
  return positive_sum;
}

double Accuracy(const at::Tensor& predicted, const at::Tensor& labels) {
  return (predicted == labels).to(at::kDouble).mean().item<double>();
}

}  // namespace

std::vector<int64_t> FeaturesByMeanDifference(const LabelledCodes& rows, int64_t k, MeanDifference kind) {
  CheckLabels(rows);
  TORCH_CHECK_VALUE(0 < k && k <= rows.codes.feature_count, "k: ", k, ", expected 1 to ", rows.codes.feature_count);
  const int64_t positives = rows.labels.sum().item<int64_t>();
  TORCH_CHECK_VALUE(0 < positives && positives < rows.labels.size(0), "labels: ", positives, " of ",
                    rows.labels.size(0), " are true, expected some of each");
  std::vector<double> difference = MeanDifferences(rows);
  if (kind == MeanDifference::kAbsolute) {
    for (double& value : difference) value = std::abs(value);
  }
  std::vector<int64_t> features(difference.size());
  for (size_t i = 0; i < features.size(); ++i) features[i] = static_cast<int64_t>(i);
  std::stable_sort(features.begin(), features.end(),
                   [&](int64_t a, int64_t b) { return difference[a] > difference[b]; });
  features.resize(k);
  return features;
}

SparseProbe ProbeFeatures(const LabelledCodes& train, const LabelledCodes& test, std::vector<int64_t> features,
                          double c) {
  CheckLabels(train);
  CheckLabels(test);
  SparseProbe probe;
  probe.features = std::move(features);
  std::sort(probe.features.begin(), probe.features.end());
  const at::Tensor train_rows = Columns(train.codes, probe.features);
  probe.model = FitLogisticRegression(train_rows, train.labels, c);
  probe.train_accuracy = Accuracy(probe.model.Predict(train_rows), train.labels);
  probe.test_predictions = probe.model.Predict(Columns(test.codes, probe.features));
  probe.test_accuracy = Accuracy(probe.test_predictions, test.labels);
  probe.test_f1 = CountAnswers(probe.test_predictions, test.labels).F1();
  return probe;
}

SparseProbe ProbeSparsely(const LabelledCodes& train, const LabelledCodes& test, int64_t k, double c) {
  return ProbeFeatures(train, test, FeaturesByMeanDifference(train, k), c);
}

}  // namespace lifescope
