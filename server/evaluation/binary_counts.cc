#include "server/evaluation/binary_counts.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <limits>

namespace lifescope {
namespace {

double Ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

double BinaryCounts::Precision() const { return Ratio(true_positives, true_positives + false_positives); }
double BinaryCounts::Recall() const { return Ratio(true_positives, true_positives + false_negatives); }
double BinaryCounts::TrueNegativeRate() const { return Ratio(true_negatives, true_negatives + false_positives); }
double BinaryCounts::F1() const {
  return Ratio(2 * true_positives, 2 * true_positives + false_positives + false_negatives);
}
double BinaryCounts::BalancedAccuracy() const {
  const bool has_both = true_positives + false_negatives > 0 && true_negatives + false_positives > 0;
  return has_both ? (Recall() + TrueNegativeRate()) / 2 : std::numeric_limits<double>::quiet_NaN();
}

BinaryCounts& BinaryCounts::operator+=(const BinaryCounts& other) {
  true_positives += other.true_positives;
  false_positives += other.false_positives;
  false_negatives += other.false_negatives;
  true_negatives += other.true_negatives;
  return *this;
}

BinaryCounts CountAnswers(const at::Tensor& predicted, const at::Tensor& truth) {
  TORCH_CHECK_VALUE(
      predicted.scalar_type() == at::kBool && truth.scalar_type() == at::kBool && predicted.sizes() == truth.sizes(),
      "predicted: ", predicted.scalar_type(), " ", predicted.sizes(), ", truth: ", truth.scalar_type(), " ",
      truth.sizes(), ", expected BOOL of one shape");
  const auto count = [](const at::Tensor& where) { return where.sum().item<int64_t>(); };
  return {count(predicted & truth), count(predicted & ~truth), count(~predicted & truth), count(~predicted & ~truth)};
}

double FrequencyWeightedF1(const at::Tensor& f1, const at::Tensor& firings) {
  const at::Tensor weight = firings.to(at::kDouble);
  const double total = weight.sum().item<double>();
  return total == 0 ? 0 : (f1.to(at::kDouble) * weight).sum().item<double>() / total;
}

}  // namespace lifescope
