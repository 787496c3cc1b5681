// Laws of the concept metrics on data whose answer is known.
#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "server/corpus/random.h"
#include "server/dictionary/sparse_rows.h"
#include "server/evaluation/absorption.h"
#include "server/evaluation/binary_counts.h"
#include "server/evaluation/concept_coverage.h"
#include "server/evaluation/concept_reconstruction.h"
#include "server/evaluation/logistic_regression.h"
#include "server/evaluation/probe_loss.h"
#include "server/evaluation/simulation_score.h"
#include "server/evaluation/sparse_probing.h"

namespace lifescope {
namespace {

using ::testing::ElementsAre;

// Rows of non-negative activations, about one in four not 0.
at::Tensor RandomActivations(int64_t rows, int64_t features, uint64_t seed) {
  Random random(seed);
  at::Tensor dense = at::zeros({rows, features}, at::kDouble);
  for (int64_t i = 0; i < dense.numel(); ++i) {
    if (random.Uniform() < 0.25) dense.data_ptr<double>()[i] = random.Uniform();
  }
  return dense;
}

at::Tensor RandomLabels(int64_t rows, double share, uint64_t seed) {
  Random random(seed);
  at::Tensor labels = at::zeros({rows}, at::kBool);
  for (int64_t i = 0; i < rows; ++i) labels.data_ptr<bool>()[i] = random.Uniform() < share;
  return labels;
}

ConceptCounts Count(const at::Tensor& activations, const at::Tensor& holds) {
  const SparseActivations codes = KeepNonZero(activations);
  ConceptCounts counts(ThresholdGrid(MaxActivations(codes), TenthsBelowOne()), holds.size(1));
  counts.Add(codes, ToHeldConcepts(holds));
  return counts;
}

TEST(ConceptCoverage, FindsThePlantedFeatureAndThreshold) {
  const at::Tensor activations = RandomActivations(400, 20, 1);
  const at::Tensor planted = activations.select(1, 7);
  const at::Tensor holds = at::stack({planted > 0.5 * planted.max(), planted > 0}, 1);
  const ConceptCounts counts = Count(activations, holds);
  const ConceptChoice first = BestAtAnyLevel(counts, 0), second = BestAtAnyLevel(counts, 1);
  EXPECT_EQ(first.feature, 7);
  EXPECT_EQ(first.level, 5);
  EXPECT_EQ(first.f1, 1);
  EXPECT_EQ(second.feature, 7);
  EXPECT_EQ(second.level, 0);
  EXPECT_EQ(BestAtLevel(counts, 0, 0).feature, 7);
  EXPECT_LT(BestAtLevel(counts, 0, 0).f1, 1);
  const Coverage coverage = MeasureCoverage(counts);
  EXPECT_EQ(coverage.own_threshold, 1);
  // No one threshold fits both.
  EXPECT_LT(coverage.shared_threshold, 1);
}

TEST(ConceptCoverage, AConceptThatNoFeatureHitsHasNone) {
  const at::Tensor activations = at::tensor({1.0, 0.0, 0.0}, at::kDouble).view({3, 1});
  const ConceptCounts counts = Count(activations, at::tensor({0, 0, 1}, at::kLong).to(at::kBool).view({3, 1}));
  EXPECT_EQ(BestAtAnyLevel(counts, 0).feature, kNoFeature);
  EXPECT_EQ(BestAtLevel(counts, 0, 3).feature, kNoFeature);
  EXPECT_EQ(MeasureCoverage(counts).own_threshold, 0);
}

TEST(ConceptCoverage, OfConceptsThatHoldAtRandomIsLow) {
  const at::Tensor activations = RandomActivations(4000, 20, 1);
  const at::Tensor holds = at::stack({RandomLabels(4000, 0.3, 2), RandomLabels(4000, 0.1, 3)}, 1);
  // "Always on" has 2 s / (1 + s): 0.46 and 0.18; a feature that is on by chance in a quarter of the rows less.
  EXPECT_LT(MeasureCoverage(Count(activations, holds)).own_threshold, 0.3);
}

TEST(ConceptCounts, DoNotDependOnHowRowsAreBatched) {
  const at::Tensor activations = RandomActivations(100, 6, 4);
  const at::Tensor holds = at::stack({RandomLabels(100, 0.3, 5), RandomLabels(100, 0.6, 6)}, 1);
  const ConceptCounts whole = Count(activations, holds);
  ConceptCounts parts(whole.grid(), 2);
  for (const auto& [begin, count] : {std::pair{0, 33}, std::pair{33, 0}, std::pair{33, 67}}) {
    parts.Add(KeepNonZero(activations.narrow(0, begin, count)), ToHeldConcepts(holds.narrow(0, begin, count)));
  }
  EXPECT_EQ(parts.rows(), 100);
  EXPECT_TRUE(at::equal(MeasureCoverage(parts).best_f1, MeasureCoverage(whole).best_f1));
}

TEST(ConceptCounts, NegativeActivationsAreNotOn) {
  const ConceptCounts counts = Count(at::tensor({-1.0, 2.0, 0.0}, at::kDouble).view({3, 1}),
                                     at::tensor({1, 0, 0}, at::kLong).to(at::kBool).view({3, 1}));
  counts.VisitLevels(0, 0, [](int64_t, int64_t hits, int64_t fired) {
    EXPECT_EQ(hits, 0);
    EXPECT_EQ(fired, 1);
  });
}

TEST(ConceptCounts, RefuseWhatDoesNotFit) {
  const at::Tensor activations = RandomActivations(10, 3, 1);
  const at::Tensor holds = RandomLabels(10, 0.5, 1).unsqueeze(1);
  EXPECT_THROW(ThresholdGrid(at::ones({3}), {}), c10::ValueError);
  EXPECT_THROW(ThresholdGrid(at::ones({3}), {0.5, 0.1}), c10::ValueError);
  EXPECT_THROW(ToHeldConcepts(at::ones({3, 2})), c10::ValueError);
  ConceptCounts counts(ThresholdGrid(at::ones({3}), TenthsBelowOne()), 1);
  EXPECT_THROW(counts.Add(KeepNonZero(activations.narrow(0, 0, 9)), ToHeldConcepts(holds)), c10::ValueError);
  EXPECT_THROW(counts.Add(KeepNonZero(activations.narrow(1, 0, 2)), ToHeldConcepts(holds)), c10::ValueError);
  EXPECT_THROW(counts.Add(KeepNonZero(activations), ToHeldConcepts(at::cat({holds, holds}, 1))), c10::ValueError);
  EXPECT_THROW(MeasureCoverage(ConceptCounts(ThresholdGrid(at::ones({3}), {0}), 0)), c10::ValueError);
}

TEST(ConceptReconstruction, ExactDetectorsReconstructAll) {
  const at::Tensor activations = RandomActivations(300, 5, 9);
  const at::Tensor holds = activations.narrow(1, 0, 3) > 0;
  const ConceptDetectors detectors(Count(activations, holds), {});
  const auto found = ReconstructConcepts(detectors, KeepNonZero(activations), ToHeldConcepts(holds), {0, 1, 2});
  ASSERT_EQ(found.size(), 11U);
  EXPECT_EQ(found[0].predictions.F1(), 1);
  EXPECT_EQ(found[0].predictions.true_negatives, (holds == false).sum().item<int64_t>());
  EXPECT_EQ(found[10].predictions.F1(), 1);
  EXPECT_EQ(found[9].predictions.Precision(), 1);
  EXPECT_LT(found[9].predictions.Recall(), 0.2);
}

TEST(ConceptReconstruction, RareHitsMakeNoDetector) {
  const at::Tensor activations = at::eye(20, at::kDouble);
  const at::Tensor holds = (activations > 0).select(1, 0).unsqueeze(1);
  const ConceptDetectors detectors(Count(activations, holds), {});
  EXPECT_EQ(detectors.CountAt(0), 0);
  EXPECT_EQ(ConceptDetectors(Count(activations, holds), {0.95, 1}).CountAt(0), 1);
}

TEST(LogisticRegression, HasNoGradientAtItsSolution) {
  // More columns than rows, and two equal ones.
  at::Tensor x = RandomActivations(30, 40, 3) * 100;
  x.select(1, 1).copy_(x.select(1, 0));
  const at::Tensor labels = RandomLabels(30, 0.4, 8);
  for (const double c : {1e-3, 1.0, 1e3}) {
    const LogisticModel model = FitLogisticRegression(x, labels, c);
    const at::Tensor error = at::sigmoid(x.mv(model.weights) + model.intercept) - labels.to(at::kDouble);
    EXPECT_LT((model.weights + c * x.t().mv(error)).abs().max().item<double>(), 1e-6 * c) << c;
    EXPECT_LT(std::abs(error.sum().item<double>()), 1e-8) << c;
  }
  EXPECT_THROW(FitLogisticRegression(x, at::ones({30}, at::kBool)), c10::ValueError);
  EXPECT_THROW(FitLogisticRegression(x, labels.narrow(0, 0, 29)), c10::ValueError);
  EXPECT_THROW(FitLogisticRegression(x, labels, 0), c10::ValueError);
}

TEST(ProbeLoss, IsZeroOfAFeatureThatSeparatesAndEntropyOfNone) {
  at::Tensor activations = at::zeros({200, 3}, at::kDouble);
  const at::Tensor labels = RandomLabels(200, 0.3, 2);
  activations.select(1, 0).copy_(RandomActivations(200, 1, 3).select(1, 0));
  activations.select(1, 2).copy_(labels);
  const ProbeLoss found = MeasureProbeLoss(KeepNonZero(activations), labels);
  EXPECT_EQ(found.feature, 2);
  EXPECT_LT(found.loss, 1e-9);
  const std::vector<FeatureProbe> probes = FitFeatureProbes(KeepNonZero(activations), labels);
  EXPECT_LE(probes[0].loss, found.constant_loss);
  EXPECT_GT(probes[0].loss, 0.95 * found.constant_loss);
  EXPECT_NEAR(probes[1].loss, found.constant_loss, 1e-12);  // silent
}

TEST(ProbeLoss, OfRowsIsWhatTheFitSaysOfItsOwn) {
  const at::Tensor activations = RandomActivations(200, 5, 31), labels = RandomLabels(200, 0.3, 32);
  const ProbeLoss found = MeasureProbeLoss(KeepNonZero(activations), labels);
  const at::Tensor losses = LossesOf(found, KeepNonZero(activations), labels);
  EXPECT_NEAR(losses.mean().item<double>(), found.loss, 1e-12);
  const at::Tensor z = activations.select(1, found.feature) * found.weight + found.intercept;
  EXPECT_TRUE(at::allclose(losses, (at::where(labels, -z, z).exp() + 1).log()));
  EXPECT_THROW(LossesOf(found, KeepNonZero(activations), labels.narrow(0, 0, 9)), c10::ValueError);
}

TEST(ProbeLoss, IsThatOfAnUnpenalisedRegression) {
  const at::Tensor activations = RandomActivations(150, 4, 5);
  const at::Tensor labels = at::sigmoid(activations.select(1, 1) * 4 - 1) > RandomActivations(150, 1, 6).select(1, 0);
  const std::vector<FeatureProbe> probes = FitFeatureProbes(KeepNonZero(activations), labels);
  for (int64_t i = 0; i < 4; ++i) {
    const LogisticModel model = FitLogisticRegression(activations.narrow(1, i, 1), labels, 1e9);
    EXPECT_NEAR(probes[i].weight, model.weights[0].item<double>(), 1e-5);
    EXPECT_NEAR(probes[i].intercept, model.intercept, 1e-5);
  }
  EXPECT_THROW(FitFeatureProbes(KeepNonZero(activations), at::ones({150}, at::kBool)), c10::ValueError);
  EXPECT_THROW(FitFeatureProbes(KeepNonZero(activations), labels.narrow(0, 0, 9)), c10::ValueError);
}

TEST(SparseProbing, FindsThePlantedFeaturesAndNothingInShuffledLabels) {
  const at::Tensor activations = RandomActivations(600, 30, 7);
  const at::Tensor truth = activations.select(1, 3) + activations.select(1, 12) > 0.2;
  const auto rows = [&](int64_t begin, const at::Tensor& labels) {
    return LabelledCodes{KeepNonZero(activations.narrow(0, begin, 300)), labels.narrow(0, begin, 300)};
  };
  const SparseProbe probe = ProbeSparsely(rows(0, truth), rows(300, truth), 2);
  EXPECT_THAT(probe.features, ElementsAre(3, 12));
  EXPECT_GT(probe.test_accuracy, 0.9);
  EXPECT_GT(probe.test_f1, 0.85);
  const at::Tensor shuffled = RandomLabels(600, 0.5, 12);
  EXPECT_NEAR(ProbeSparsely(rows(0, shuffled), rows(300, shuffled), 2).test_accuracy, 0.5, 0.1);
  EXPECT_THROW(ProbeSparsely(rows(0, truth), rows(300, truth), 0), c10::ValueError);
  EXPECT_THROW(ProbeSparsely(rows(0, truth), rows(300, truth), 31), c10::ValueError);
}

// Four rows of a concept with direction e0. Feature 0 stands for it, feature 1 is special: e0 + e1.
class PlantedAbsorption : public testing::Test {
 protected:
  Absorption Measure(const at::Tensor& acts) const {
    const at::Tensor x = acts.mm(directions_);
    return MeasureAbsorption(x, KeepNonZero(acts), directions_, 3 * probe_, {0});
  }
  const at::Tensor directions_ = at::tensor({2.0, 0.0, 1.0, 1.0, 0.0, 1.0}, at::kDouble).view({3, 2});
  const at::Tensor probe_ = at::tensor({1.0, 0.0}, at::kDouble);
};

TEST_F(PlantedAbsorption, IsNoneFullOrPartial) {
  const at::Tensor acts = at::tensor({1.0, 0.0, 0.0,   // the main feature alone
                                      0.0, 2.0, 0.0,   // another one carries it all
                                      0.25, 2.0, 0.0,  // both
                                      0.0, 0.0, 1.0},  // neither
                                     at::kDouble)
                              .view({4, 3});
  const Absorption absorption = Measure(acts);
  const double* fraction = absorption.fraction.data_ptr<double>();
  EXPECT_EQ(fraction[0], 0);
  EXPECT_EQ(fraction[1], 1);
  // m = .25, P = 2.5, A = 2 cos 45 degrees.
  EXPECT_NEAR(fraction[2], std::sqrt(2) / (std::sqrt(2) + 0.25), 1e-12);
  EXPECT_EQ(fraction[3], 0);
  EXPECT_TRUE(at::equal(absorption.is_full, at::tensor({0, 1, 0, 0}, at::kLong).to(at::kBool)));
  EXPECT_NEAR(absorption.probe_projection[2].item<double>(), 2.5, 1e-12);
}

TEST_F(PlantedAbsorption, RefusesWhatDoesNotFit) {
  const at::Tensor acts = at::ones({2, 3}, at::kDouble), x = acts.mm(directions_);
  const SparseActivations codes = KeepNonZero(acts);
  EXPECT_THROW(MeasureAbsorption(x, codes, directions_, 0 * probe_, {0}), c10::ValueError);
  EXPECT_THROW(MeasureAbsorption(x, codes, directions_, probe_, {3}), c10::ValueError);
  EXPECT_THROW(MeasureAbsorption(x.narrow(0, 0, 1), codes, directions_, probe_, {0}), c10::ValueError);
  EXPECT_THROW(MeasureAbsorption(x, codes, directions_.narrow(0, 0, 2), probe_, {0}), c10::ValueError);
}

TEST(SimulationScore, IsOneOfThePerfectAndUndefinedOfTheConstant) {
  const at::Tensor truth = RandomActivations(20, 5, 2);
  const SimulationScore perfect = ScoreSimulation(truth, truth);
  EXPECT_DOUBLE_EQ(perfect.correlation, 1);
  EXPECT_EQ(perfect.r_squared, 1);
  EXPECT_EQ(perfect.absolute_deviation, 1);
  EXPECT_TRUE(std::isnan(ScoreSimulation(at::ones_like(truth), truth).correlation));
  EXPECT_THROW(ScoreSimulation(truth, truth[0]), c10::ValueError);
  EXPECT_THROW(ToTenths(truth, 0), c10::ValueError);
}

TEST(BinaryCounts, ScoresWithoutADenominatorAreZero) {
  const BinaryCounts none;
  EXPECT_EQ(none.F1(), 0);
  EXPECT_EQ(FrequencyWeightedF1(at::ones({2}), at::zeros({2}, at::kLong)), 0);
  EXPECT_THROW(CountAnswers(at::ones({2}), at::ones({2})), c10::ValueError);
}

TEST(BinaryCounts, BalancedAccuracyWantsBothClasses) {
  EXPECT_EQ((BinaryCounts{1, 1, 0, 3}.BalancedAccuracy()), 0.875);
  EXPECT_TRUE(std::isnan(BinaryCounts{}.BalancedAccuracy()));
  EXPECT_TRUE(std::isnan(BinaryCounts{5, 0, 2, 0}.BalancedAccuracy())) << "no negative";
  EXPECT_TRUE(std::isnan(BinaryCounts{0, 1, 0, 6}.BalancedAccuracy())) << "no positive";
}

}  // namespace
}  // namespace lifescope
