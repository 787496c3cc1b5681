#include "server/training/classification_loss.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace lifescope {
namespace {

at::Tensor Table(const std::vector<double>& values, at::IntArrayRef shape) {
  return at::tensor(values, at::kDouble).view(shape);
}
at::Tensor Classes(const std::vector<int64_t>& values, at::IntArrayRef shape) {
  return at::tensor(values, at::kLong).view(shape);
}

double Value(const at::Tensor& logits, const at::Tensor& classes, const ClassificationLossOptions& options) {
  return ClassificationLossOf(logits, classes, options).item<double>();
}

ClassificationLossOptions Options(ClassificationLoss loss) {
  ClassificationLossOptions options;
  options.loss = loss;
  return options;
}

TEST(ClassificationLoss, CrossEntropyIsMinusTheLogProbabilityOfTheClass) {
  const at::Tensor logits = Table({std::log(1), std::log(3), std::log(2), std::log(2)}, {2, 1, 2});
  EXPECT_NEAR(Value(logits, Classes({1, 0}, {2, 1}), Options(ClassificationLoss::kCrossEntropy)),
              -(std::log(0.75) + std::log(0.5)) / 2, 1e-12);
}

TEST(ClassificationLoss, ClassDistanceWeighsProbabilitiesByTheirDistance) {
  // Equal logits: SigSoftmax gives 1/3 each. Distances from class 0: 0, 1, 2.
  const at::Tensor logits = Table({0.4, 0.4, 0.4}, {1, 1, 3});
  ClassificationLossOptions options = Options(ClassificationLoss::kClassDistance);
  const double log_other = std::log(1 - 1.0 / 3 + 1e-5);
  EXPECT_NEAR(Value(logits, Classes({0}, {1, 1}), options), -log_other * (std::log(2) + std::log(3)), 1e-9);
  EXPECT_NEAR(Value(logits, Classes({1}, {1, 1}), options), -log_other * 2 * std::log(2), 1e-9);
  options.power = 2;
  EXPECT_NEAR(Value(logits, Classes({0}, {1, 1}), options),
              -log_other * (std::pow(std::log(2), 2) + std::pow(std::log(3), 2)), 1e-9);
}

TEST(ClassificationLoss, AsymmetricMeansThePartsApart) {
  // P(1) = 3/4 for the two positives, 1/2 and 1/5 for the unlabelled.
  const at::Tensor logits = Table({0, std::log(3), 0, std::log(3), 0, 0, std::log(4), 0}, {4, 1, 2});
  ClassificationLossOptions options = Options(ClassificationLoss::kAsymmetric);
  options.positive_weight = 0.3;
  const double positive = -std::log(0.75), unlabelled = -(std::log(0.5) + std::log(0.8)) / 2;
  EXPECT_NEAR(Value(logits, Classes({1, 1, 0, 0}, {4, 1}), options), 0.3 * positive + 0.7 * unlabelled, 1e-12);
  EXPECT_NEAR(Value(logits, Classes({1, 1, -1, -1}, {4, 1}), options), 0.3 * positive, 1e-12)
      << "a batch without unlabelled persons has the positive part alone";
}

TEST(ClassificationLoss, PersonsWithoutAClassAndTargetsWithoutPersonsAreLeftOut) {
  const at::Tensor logits = Table({0, std::log(3), 5, 1, 0, 0, 2, 9}, {2, 2, 2});
  const ClassificationLossOptions options = Options(ClassificationLoss::kCrossEntropy);
  EXPECT_NEAR(Value(logits, Classes({1, -1, -1, -1}, {2, 2}), options), -std::log(0.75), 1e-12);
  EXPECT_EQ(Value(logits, Classes({-1, -1, -1, -1}, {2, 2}), options), 0);
  // Two targets: the mean of their losses.
  EXPECT_NEAR(Value(logits, Classes({1, -1, 0, 1}, {2, 2}), options),
              ((-std::log(0.75) - std::log(0.5)) / 2 + std::log1p(std::exp(-7))) / 2, 1e-9);
}

class EveryLoss : public testing::TestWithParam<ClassificationLoss> {};

TEST_P(EveryLoss, HasTheGradientOfFiniteDifferences) {
  at::manual_seed(1);
  const at::Tensor logits = at::randn({5, 2, 2}, at::kDouble).requires_grad_(true);
  const at::Tensor classes = Classes({0, 1, 1, -1, 0, 0, 1, 1, -1, 1}, {5, 2});
  ClassificationLossOf(logits, classes, Options(GetParam())).backward();
  const at::Tensor direction = at::randn({5, 2, 2}, at::kDouble);
  const double step = 1e-6;
  const double up = Value(logits.detach() + step * direction, classes, Options(GetParam()));
  const double down = Value(logits.detach() - step * direction, classes, Options(GetParam()));
  EXPECT_NEAR((up - down) / (2 * step), (logits.grad() * direction).sum().item<double>(), 1e-8);
}

INSTANTIATE_TEST_SUITE_P(Losses, EveryLoss,
                         testing::Values(ClassificationLoss::kCrossEntropy, ClassificationLoss::kClassDistance,
                                         ClassificationLoss::kAsymmetric));

TEST(ClassificationLoss, TheAsymmetricOneIsForTwoClasses) {
  EXPECT_THROW(
      ClassificationLossOf(at::zeros({1, 1, 3}), Classes({0}, {1, 1}), Options(ClassificationLoss::kAsymmetric)),
      c10::ValueError);
}

TEST(ClassificationLoss, NamesAreThoseOfTheFlag) {
  EXPECT_EQ(ParseClassificationLoss("class-distance"), ClassificationLoss::kClassDistance);
  EXPECT_EQ(ParseClassificationLoss("asymmetric"), ClassificationLoss::kAsymmetric);
  EXPECT_THROW(ParseClassificationLoss("hinge"), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
