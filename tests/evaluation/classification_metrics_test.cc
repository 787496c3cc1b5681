#include "server/evaluation/classification_metrics.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "server/corpus/random.h"

namespace lifescope {
namespace {

// Two classes, from the probability of class 1.
ClassPredictions Binary(const std::vector<double>& scores, const std::vector<int64_t>& classes) {
  ClassPredictions predictions;
  for (const double score : scores)
    predictions.probabilities.insert(predictions.probabilities.end(), {1 - score, score});
  predictions.classes = classes;
  return predictions;
}

// As many classes as needed; person i is given class predicted[i] for certain.
ClassPredictions Certain(int64_t class_count, const std::vector<int64_t>& predicted, std::vector<int64_t> classes) {
  ClassPredictions predictions;
  predictions.class_count = class_count;
  for (const int64_t c : predicted) {
    for (int64_t i = 0; i < class_count; ++i) predictions.probabilities.push_back(i == c ? 1 : 0);
  }
  predictions.classes = std::move(classes);
  return predictions;
}

// 3 positives of 8; above 1/2 are 2 of them and 1 other.
ClassPredictions Eight() { return Binary({0.9, 0.8, 0.3, 0.7, 0.4, 0.3, 0.2, 0.1}, {1, 1, 1, 0, 0, 0, 0, 0}); }

TEST(ClassificationMetrics, AucCountsPairs) {
  // Of 15 pairs: 0.9 and 0.8 win 5 each, 0.3 wins 2 and ties 1.
  EXPECT_DOUBLE_EQ(Auc(Eight()), 12.5 / 15);
  EXPECT_DOUBLE_EQ(Auc(Binary({0.1, 0.9}, {1, 0})), 0);
  EXPECT_DOUBLE_EQ(Auc(Binary({0.5, 0.5, 0.5}, {1, 0, 0})), 0.5);
  EXPECT_TRUE(std::isnan(Auc(Binary({0.1, 0.9}, {1, 1}))));
}

TEST(ClassificationMetrics, AulComparesPositivesWithEverybody) {
  // Beside the pairs with others, each positive ties with itself, and each two positives give 1.
  EXPECT_DOUBLE_EQ(Aul(Eight()), (12.5 + 3 * 0.5 + 3) / (3 * 8));
}

TEST(ClassificationMetrics, TrueLabelsGiveThePlainMetrics) {
  const double g = 2.0 / 3, v = 1.0 / 5;
  EXPECT_DOUBLE_EQ(BalancedAccuracy(Eight()), (g + 1 - v) / 2);
  EXPECT_DOUBLE_EQ(F1(Eight()), 2.0 * 2 / (2 * 2 + 1 + 1));
  EXPECT_NEAR(Mcc(Eight()), (2.0 * 4 - 1 * 1) / std::sqrt(3.0 * 3 * 5 * 5), 1e-12);
  EXPECT_NEAR(MultiClassMcc(Eight()), Mcc(Eight()), 1e-12);
}

TEST(ClassificationMetrics, UnlabelledPositivesAreCorrectedFor) {
  const LabelRates rates{1.0, 0.2};
  const double g = 2.0 / 3, v = (1.0 / 5 - 0.2 * g) / 0.8, c = 3.0 / 8 + 5.0 / 8 * 0.2, t = 3.0 / 8;
  EXPECT_NEAR(BalancedAccuracy(Eight(), rates), (1 + g - v) / 2, 1e-12);
  EXPECT_NEAR(F1(Eight(), rates), 2 * c * g / (c + t), 1e-12);
  EXPECT_NEAR(Mcc(Eight(), rates), std::sqrt(c * (1 - c) / (t * (1 - t))) * (g - v), 1e-12);
}

TEST(ClassificationMetrics, PredictionsThatAreAllAlikeHaveNoCorrelation) {
  EXPECT_EQ(Mcc(Binary({0.1, 0.2, 0.3}, {1, 0, 0})), 0);
  for (const LabelRates rates : {LabelRates{0.9, 0.2}, LabelRates{0.7, 0.1}, LabelRates{1, 0.025}}) {
    EXPECT_EQ(Mcc(Binary({0.9, 0.8, 0.7}, {1, 0, 0}), rates), 0);
    EXPECT_EQ(Mcc(Binary({0.1, 0.2, 0.3}, {1, 0, 0}), rates), 0);
    EXPECT_TRUE(std::isnan(Mcc(Binary({0.9, 0.8}, {1, 1}), rates)));
  }
  EXPECT_EQ(MultiClassMcc(Certain(3, {1, 1, 1}, {0, 1, 2})), 0);
  EXPECT_TRUE(std::isnan(MultiClassMcc(Certain(3, {0, 1, 2}, {1, 1, 1}))));
}

TEST(ClassificationMetrics, SeveralClasses) {
  const ClassPredictions predictions = Certain(3, {0, 0, 1, 2, 2, 1}, {0, 0, 1, 1, 2, 2});
  // Counts of (actual, predicted): 00 2, 11 1, 12 1, 22 1, 21 1.
  EXPECT_DOUBLE_EQ(MacroF1(predictions), (1 + 0.5 + 0.5) / 3);
  EXPECT_NEAR(MultiClassMcc(predictions), (4.0 * 6 - 12) / std::sqrt((36 - 12.0) * (36 - 12)), 1e-12);
  // Observed distances squared: 2 of 6; expected: sum over a, p of (a - p)^2 * 2 * 2 / 6.
  EXPECT_NEAR(QuadraticKappa(predictions), 1 - 2.0 / ((1 + 4 + 1 + 1 + 4 + 1) * 4.0 / 6), 1e-12);
  EXPECT_DOUBLE_EQ(QuadraticKappa(Certain(3, {0, 1, 2}, {0, 1, 2})), 1);
  EXPECT_DOUBLE_EQ(MacroAuc(Certain(3, {0, 1, 2, 2}, {0, 1, 2, 2})), 1);
}

TEST(ClassificationMetrics, PersonsWithoutAClassAreLeftOut) {
  const at::Tensor probabilities = at::tensor({0.2, 0.8, 0.6, 0.4, 0.5, 0.5}, at::kDouble).view({3, 2});
  const ClassPredictions predictions = ToClassPredictions(probabilities, at::tensor({1, -1, 0}, at::kLong));
  EXPECT_EQ(predictions.classes, (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(predictions.probabilities, (std::vector<double>{0.2, 0.8, 0.5, 0.5}));
}

std::map<std::string, Measurement> ByName(const ClassPredictions& predictions, const BootstrapOptions& options = {}) {
  std::map<std::string, Measurement> named;
  for (const Measurement& m : Measure(predictions, {}, options)) named[m.metric] = m;
  return named;
}

TEST(Measure, TwoClassesAndMoreHaveTheirMetrics) {
  const auto two = ByName(Eight());
  EXPECT_EQ(two.size(), 5u);
  EXPECT_DOUBLE_EQ(two.at("AUC").value, Auc(Eight()));
  EXPECT_DOUBLE_EQ(two.at("AUL").value, Aul(Eight()));
  const auto three = ByName(Certain(3, {0, 0, 1, 2, 2, 1}, {0, 0, 1, 1, 2, 2}));
  EXPECT_EQ(three.size(), 4u);
  EXPECT_GT(three.at("quadratic kappa").value, 0);
}

// Scores of persons that differ by class by `distance` standard deviations.
ClassPredictions Drawn(int64_t persons, double distance, uint64_t seed) {
  Random random(seed);
  std::vector<double> scores;
  std::vector<int64_t> classes;
  for (int64_t i = 0; i < persons; ++i) {
    classes.push_back(i % 4 == 0);
    scores.push_back(1 / (1 + std::exp(-random.Normal() - distance * static_cast<double>(classes.back()))));
  }
  return Binary(scores, classes);
}

TEST(Measure, TheIntervalCoversTheTruthAboutAsOftenAsItSays) {
  // AUC of two normals one deviation apart: Phi(1 / sqrt 2).
  const double truth = 0.5 * std::erfc(-1 / std::sqrt(2.0) / std::sqrt(2.0));
  BootstrapOptions options;
  options.resamples = 200;
  int covered = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const Measurement auc = ByName(Drawn(120, 1, seed), options).at("AUC");
    EXPECT_LE(auc.low, auc.value);
    EXPECT_GE(auc.high, auc.value);
    covered += auc.low <= truth && truth <= auc.high;
  }
  EXPECT_GE(covered, 51) << "of 60";
}

TEST(Measure, MorePersonsGiveANarrowerIntervalAndTheSameSeedTheSame) {
  const auto few = ByName(Drawn(50, 1, 3)).at("AUC"), many = ByName(Drawn(800, 1, 3)).at("AUC");
  EXPECT_LT(many.high - many.low, (few.high - few.low) / 2);
  EXPECT_EQ(ByName(Drawn(50, 1, 3)).at("AUC").low, few.low);
  BootstrapOptions other;
  other.seed = 2;
  EXPECT_NE(ByName(Drawn(50, 1, 3), other).at("AUC").low, few.low);
}

TEST(Measure, WhatCannotBeMeasuredIsRefused) {
  EXPECT_THROW(Measure(Binary({}, {})), c10::ValueError);
  EXPECT_THROW(Measure(Binary({0.5}, {2})), c10::ValueError);
  EXPECT_THROW(Measure(Eight(), {0.2, 0.3}), c10::ValueError);
  EXPECT_THROW(CheckLabelRates({0.3, 0.3}), c10::ValueError);
  EXPECT_NO_THROW(CheckLabelRates({1, 0.025}));
  ClassPredictions uneven = Eight();
  uneven.probabilities.pop_back();
  EXPECT_THROW(Measure(uneven), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
