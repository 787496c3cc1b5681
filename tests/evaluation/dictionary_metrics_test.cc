// The laws of the metrics of dictionaries beside their golden values: pooling, edges, intervals, definitions.
#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include "server/artifact/artifact.h"
#include "server/evaluation/bootstrap.h"
#include "server/evaluation/downstream_metrics.h"
#include "server/evaluation/feature_density.h"
#include "server/evaluation/metric_definition.h"
#include "server/evaluation/peer_metrics.h"
#include "server/evaluation/reconstruction_metrics.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

at::Tensor Normal(at::IntArrayRef shape, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn(shape, at::kDouble);
}

std::map<std::string, Measurement> ByName(const std::vector<Measurement>& metrics) {
  std::map<std::string, Measurement> named;
  for (const Measurement& m : metrics) named[m.metric] = m;
  return named;
}

TEST(ReconstructionMetrics, PoolTheSetHoweverItIsCut) {
  const at::Tensor x = Normal({50, 6}, 1) + 3, r = x * 0.8 + Normal({50, 6}, 2) * 0.1, f = Normal({50, 9}, 3).relu();
  const at::Tensor terms = ReconstructionTerms(x, r, f);
  const auto whole = ReconstructionMetrics(terms.sum(0));
  const auto cut = ReconstructionMetrics(terms.narrow(0, 0, 7).sum(0) + terms.narrow(0, 7, 43).sum(0));
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(whole[i].value, cut[i].value, 1e-12) << whole[i].metric;
  const double expected = ((x - r).square().sum() / (x - x.mean(0)).square().sum()).item<double>();
  EXPECT_NEAR(ByName(whole).at("fvu").value, expected, 1e-12);
  // About another centre the same rows spread more.
  EXPECT_LT(ByName(ReconstructionMetrics(terms.sum(0), at::zeros({6}, at::kDouble))).at("fvu").value, expected);
}

TEST(ReconstructionMetrics, OfAPerfectReconstruction) {
  const at::Tensor x = Normal({20, 5}, 4);
  const auto metrics = ByName(ReconstructionMetrics(ReconstructionTerms(x, x, at::ones({20, 7})).sum(0)));
  EXPECT_EQ(metrics.at("fvu").value, 0);
  EXPECT_NEAR(metrics.at("cosine").value, 1, 1e-12);
  EXPECT_NEAR(metrics.at("relative_reconstruction_bias").value, 1, 1e-12);
  EXPECT_EQ(metrics.at("l0").value, 7);
}

TEST(ReconstructionMetrics, ShrinkageIsBiasBelowOne) {
  const at::Tensor x = Normal({20, 5}, 5);
  const auto metrics = ByName(ReconstructionMetrics(ReconstructionTerms(x, x * 0.7, at::ones({20, 7})).sum(0)));
  EXPECT_NEAR(metrics.at("relative_reconstruction_bias").value, 0.7, 1e-12);
}

TEST(ReconstructionMetrics, EdgesAreDefined) {
  const at::Tensor zero = at::zeros({3, 5});
  const auto of_zeros = ByName(ReconstructionMetrics(ReconstructionTerms(zero, zero, zero).sum(0)));
  EXPECT_TRUE(std::isnan(of_zeros.at("fvu").value));
  EXPECT_EQ(of_zeros.at("cosine").value, 0);
  EXPECT_EQ(of_zeros.at("l2_ratio").value, 0);
  const auto of_none = ByName(ReconstructionMetrics(ReconstructionTerms(zero, zero, zero).narrow(0, 0, 0).sum(0)));
  EXPECT_TRUE(std::isnan(of_none.at("l0").value));
  EXPECT_THROW(ReconstructionTerms(zero, at::zeros({3, 4}), zero), c10::ValueError);
  EXPECT_THROW(ReconstructionTerms(zero, zero, at::zeros({2, 4})), c10::ValueError);
}

TEST(FeatureCounts, KeepTheirWindow) {
  FeatureCounts counts(3);
  counts.AddDocument(at::tensor({1.0, 0.0, 0.5, 2.0, 0.0, 0.0}).reshape({2, 3}));
  counts.AddDocument(at::tensor({1.0, 0.0, 0.0}).reshape({1, 3}));
  EXPECT_EQ(counts.rows(), 3);
  EXPECT_TRUE(at::allclose(counts.Densities(), at::tensor({1.0, 0.0, 1.0 / 3}, at::kDouble)));
  EXPECT_EQ(counts.ConsistentActivation()[0].item<double>(), 1.5);
  EXPECT_EQ(ByName(DensityMetrics(counts.Densities())).at("dead_feature_count").value, 1);
  const std::vector<int64_t> histogram = LogDensityHistogram(counts.Densities());
  EXPECT_EQ(histogram.front(), 1) << "the dead one";
  EXPECT_EQ(histogram.back(), 2) << "10^-0.5 is below 1/3; 1 belongs to the last bin";
  EXPECT_THROW(counts.AddDocument(at::zeros({1, 4})), c10::ValueError);
}

TEST(LossRecovered, IsRefusedWithoutAnEffect) {
  EXPECT_DOUBLE_EQ(LossRecovered("loss_recovered_zero", 4, 2.5, 2).value, 0.75);
  const Measurement none = LossRecovered("loss_recovered_zero", 2.0005, 2.5, 2);
  EXPECT_TRUE(std::isnan(none.value));
  EXPECT_THAT(none.note, HasSubstr("nothing to recover"));
  EXPECT_THAT(LossRecovered("loss_recovered_zero", 1, 1.5, 2).note, HasSubstr("lowers the loss"));
  EXPECT_TRUE(std::isnan(LossRecovered("loss_recovered_zero", std::nan(""), 1, 2).value));
}

TEST(DownstreamMetrics, CleanLogitsRecoverEverything) {
  const at::Tensor clean = Normal({40, 11}, 6), flat = at::zeros({40, 11}, at::kDouble);
  const at::Tensor targets = clean.argmax(1);
  const auto metrics = ByName(DownstreamMetrics(DownstreamTerms({clean, clean, flat, flat}, targets).sum(0)));
  EXPECT_DOUBLE_EQ(metrics.at("loss_recovered_zero").value, 1);
  EXPECT_DOUBLE_EQ(metrics.at("kl_recovered_mean").value, 1);
  EXPECT_EQ(metrics.at("kl_spliced").value, 0);
  EXPECT_NEAR(metrics.at("cross_entropy_zero_ablated").value, std::log(11.0), 1e-12);
  EXPECT_NEAR(metrics.at("cross_entropy_clean").value, at::cross_entropy_loss(clean, targets).item<double>(), 1e-12);
}

// The mean of normal values has a known interval.
TEST(MeasureOverPersons, CoversTheMeanAsItShould) {
  const MetricsOfSums mean = [](const at::Tensor& sums) {
    return std::vector<Measurement>{{"mean", (sums[1] / sums[0]).item<double>(), 0, 0}};
  };
  int64_t covered = 0;
  constexpr int64_t kTrials = 200, kPersons = 60;
  for (int64_t trial = 0; trial < kTrials; ++trial) {
    const at::Tensor values = Normal({kPersons, 1}, 100 + trial);
    BootstrapOptions options;
    options.resamples = 200;
    const Measurement m = MeasureOverPersons(at::cat({at::ones_like(values), values}, 1), mean, options)[0];
    EXPECT_NEAR(m.value, values.mean().item<double>(), 1e-12);
    covered += m.low <= 0 && 0 <= m.high;
  }
  EXPECT_GE(covered, kTrials * 89 / 100);
  EXPECT_LE(covered, kTrials * 99 / 100);
}

TEST(MeasureOverPersons, IsDeterministicAndWantsPersons) {
  const MetricsOfSums mean = [](const at::Tensor& sums) {
    return std::vector<Measurement>{{"mean", (sums[1] / sums[0]).item<double>(), 0, 0}};
  };
  const at::Tensor sums = at::cat({at::ones({30, 1}, at::kDouble), Normal({30, 1}, 7)}, 1);
  EXPECT_EQ(MeasureOverPersons(sums, mean)[0].low, MeasureOverPersons(sums, mean)[0].low);
  EXPECT_THROW(MeasureOverPersons(sums.narrow(0, 0, 0), mean), c10::ValueError);
  BootstrapOptions none;
  none.resamples = 0;
  EXPECT_THROW(MeasureOverPersons(sums, mean, none), c10::ValueError);
}

TEST(MeasureOverPersons, OfOnePersonHaveNoInterval) {
  const Measurement one = MeasureOverPersons(at::ones({1, 1}, at::kDouble), [](const at::Tensor& sums) {
    return std::vector<Measurement>{{"mean", sums[0].item<double>(), 0, 0}};
  })[0];
  EXPECT_EQ(one.value, 1);
  EXPECT_TRUE(std::isnan(one.low) && std::isnan(one.high));
  EXPECT_THAT(one.note, HasSubstr("one person"));
}

TEST(WithInterval, LeavesOutWhatIsNotDefined) {
  const double nan = std::nan("");
  const Measurement some = WithInterval({"fvu", 2}, {nan, 1, 3, nan}, 5);
  EXPECT_EQ(some.low, 1.05);
  EXPECT_EQ(some.high, 2.95);
  EXPECT_TRUE(std::isnan(WithInterval({"fvu", nan}, {1, 3}, 5).low));
  EXPECT_TRUE(std::isnan(WithInterval({"fvu", 2}, {nan, nan}, 5).low));
}

TEST(Metrics, SayWhyTheyAreNotDefined) {
  const at::Tensor zero = at::zeros({3, 5});
  const auto constant = ByName(ReconstructionMetrics(ReconstructionTerms(zero, zero, zero).sum(0)));
  EXPECT_THAT(constant.at("fvu").note, HasSubstr("do not vary"));
  EXPECT_EQ(constant.at("l0").note, "");
  const auto dead = ByName(DensityMetrics(at::zeros({4}, at::kDouble)));
  EXPECT_TRUE(std::isnan(dead.at("normalized_frequency_over_1_percent").value));
  EXPECT_EQ(dead.at("normalized_frequency_over_1_percent").note, "no feature fires");
}

TEST(MetricDefinitions, AreThereForEveryMetricOnce) {
  std::set<std::string> names;
  for (const MetricDefinition& d : MetricDefinitions()) {
    EXPECT_TRUE(names.insert(d.name).second) << d.name;
    EXPECT_GE(d.version, 1);
    for (const char* text : {d.formula, d.reference, d.caution}) EXPECT_STRNE(text, "") << d.name;
  }
  const at::Tensor x = Normal({4, 3}, 8);
  PeerMetrics peers;
  peers.AddBatch(x, x * 0.5);
  for (const auto& metrics :
       {ReconstructionMetrics(ReconstructionTerms(x, x * 0.5, x).sum(0)), DensityMetrics(at::ones({3}, at::kDouble)),
        peers.Values(), DownstreamMetrics(DownstreamTerms({x, x, x, x}, at::zeros({4}, at::kLong)).sum(0))}) {
    for (const Measurement& m : metrics) EXPECT_NO_THROW(DefinitionOf(m.metric)) << m.metric;
  }
  EXPECT_THROW(DefinitionOf("fidelity"), c10::ValueError);
}

TEST(MetricDefinitions, AreTheDocument) {
  const char* source = std::getenv("LIFESCOPE_SOURCE_DIR");
  const std::string path = std::string(source == nullptr ? "." : source) + "/docs/metrics.md";
  EXPECT_EQ(ReadFile(path), MetricsMarkdown()) << "write it anew: lifescoped metrics > docs/metrics.md";
}

}  // namespace
}  // namespace lifescope
