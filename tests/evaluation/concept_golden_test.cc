// What a dictionary knows of concepts, against the public metric code (golden sae/metrics).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/dictionary/sparse_rows.h"
#include "server/evaluation/absorption.h"
#include "server/evaluation/binary_counts.h"
#include "server/evaluation/classification_metrics.h"
#include "server/evaluation/clustering.h"
#include "server/evaluation/concept_coverage.h"
#include "server/evaluation/concept_reconstruction.h"
#include "server/evaluation/cooccurrence.h"
#include "server/evaluation/direction_geometry.h"
#include "server/evaluation/probe_loss.h"
#include "server/evaluation/simulation_score.h"
#include "server/evaluation/sparse_probing.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

// One folder of sae/metrics. Values of float64 code are held to 1e-9 relative, of float32 code to 1e-5 absolute.
class ConceptGolden : public testing::Test {
 protected:
  void Open(const std::string& folder) {
    folder_ = folder;
    const std::string path = "sae/metrics/" + folder + "/";
    if (!HasGolden(path)) GTEST_SKIP() << "not in the small golden set";
    file_.emplace_back(SafetensorsFile::Open(GoldenPath(path + "fixture.safetensors")));
    json_ = nlohmann::json::parse(ReadFile(GoldenPath(path + "fixture.json")));
  }

  at::Tensor Read(const std::string& name) const { return file_.front().Read(name); }
  const nlohmann::json& values() const { return json_["values"]; }
  const nlohmann::json& hyper() const { return json_["hyper"]; }

  void ExpectF64(const at::Tensor& actual, const at::Tensor& expected, const std::string& what) const {
    ExpectClose(actual, expected, 1e-15, 1e-9, Family(what, ".f64"));
  }
  void ExpectF32(const at::Tensor& actual, const at::Tensor& expected, const std::string& what) const {
    ExpectClose(actual, expected, 1e-5, 0, Family(what, ".f32"));
  }
  void ExpectF64(double actual, const nlohmann::json& expected, const std::string& what) const {
    ExpectF64(Scalar(actual), Scalar(expected), what);
  }
  void ExpectF32(double actual, const nlohmann::json& expected, const std::string& what) const {
    ExpectF32(Scalar(actual), Scalar(expected), what);
  }
  std::string Family(const std::string& what, const std::string& suffix) const {
    return "sae.metrics." + folder_ + "." + what + suffix;
  }
  static at::Tensor Scalar(double value) { return at::scalar_tensor(value, at::kDouble); }

 private:
  std::string folder_;
  std::vector<SafetensorsFile> file_;  // one, once it is open
  nlohmann::json json_;
};

std::vector<int64_t> Ints(const at::Tensor& tensor) {
  const at::Tensor t = tensor.to(at::kLong).contiguous();
  return {t.data_ptr<int64_t>(), t.data_ptr<int64_t>() + t.numel()};
}

class BoardCoverage : public ConceptGolden {
 protected:
  void SetUp() override { Open("board_coverage"); }

  // [features, boards, positions] -> rows.
  SparseActivations Codes(const std::string& split) const {
    return KeepNonZero(Read("in/acts_" + split).flatten(1).t().contiguous());
  }
  HeldConcepts Concepts(const std::string& split) const {
    return ToHeldConcepts(Read("in/boards_" + split).flatten(2).flatten(0, 1).to(at::kBool));
  }
  ConceptCounts CountTraining(size_t levels) const {
    std::vector<double> fractions = TenthsBelowOne();
    fractions.push_back(1);
    fractions.resize(levels);
    ConceptCounts counts(ThresholdGrid(MaxActivations(Codes("train")), fractions), 192);
    counts.Add(Codes("train"), Concepts("train"));
    return counts;
  }
};

TEST_F(BoardCoverage, BothDefinitionsAreTheReference) {
  const Coverage coverage = MeasureCoverage(CountTraining(11));
  ExpectF32(coverage.best_f1, Read("f32/f1_best_over_features_TRRC").flatten(1), "best_f1");
  ExpectF32(at::tensor(coverage.mean_by_level, at::kDouble),
            at::tensor(values()["best_f1_average_per_threshold"].get<std::vector<double>>(), at::kDouble),
            "mean_by_threshold");
  ExpectF32(coverage.shared_threshold, values()["coverage_reported"], "coverage");
  ExpectF32(coverage.own_threshold, values()["coverage_max_over_thresholds_inside"], "coverage");
  EXPECT_EQ(coverage.shared_level, values()["coverage_threshold_index"].get<int64_t>());
}

TEST_F(BoardCoverage, DetectorsAreTheReference) {
  const ConceptDetectors detectors(CountTraining(11), {hyper()["high_threshold"], hyper()["significance_threshold"]});
  at::Tensor found = at::zeros({11, 30, 192}, at::kBool);
  for (int64_t level = 0; level < 11; ++level) {
    EXPECT_EQ(detectors.CountAt(level), values()["n_high_precision_labels_per_threshold"][level].get<int64_t>());
    for (int64_t feature = 0; feature < 30; ++feature) {
      for (const int32_t c : detectors.At(feature, level)) found[level][feature][c] = true;
    }
  }
  EXPECT_TRUE(at::equal(found, Read("f32/feature_labels_TFRRC_bits").flatten(2)));
}

TEST_F(BoardCoverage, ReconstructionIsTheReference) {
  // The reference puts the rule of the highest threshold where t = 1 would be, at which nothing is on.
  const ConceptDetectors detectors(CountTraining(10), {hyper()["high_threshold"], hyper()["significance_threshold"]});
  std::vector<int64_t> square(192);
  for (size_t c = 0; c < square.size(); ++c) square[c] = static_cast<int64_t>(c) / 3;
  const std::vector<Reconstruction> found = ReconstructConcepts(detectors, Codes("test"), Concepts("test"), square);
  ASSERT_EQ(found.size(), 11U);
  double best = 0;
  for (size_t level = 0; level < found.size(); ++level) {
    const BinaryCounts& counts = found[level].predictions;
    ExpectF32(counts.Precision(), values()["reconstruction_precision_per_class"][level], "reconstruction");
    ExpectF32(counts.Recall(), values()["reconstruction_recall_per_class"][level], "reconstruction");
    ExpectF32(counts.F1(), values()["reconstruction_f1_per_class"][level], "reconstruction");
    ExpectF32(found[level].F1PerGroup(), values()["reconstruction_f1_per_square"][level], "reconstruction");
    best = std::max(best, counts.F1());
  }
  ExpectF32(best, values()["board_reconstruction_reported"], "reconstruction");
}

class ProbeLossGolden : public ConceptGolden {
 protected:
  void SetUp() override { Open("probe_loss_1d"); }
};

TEST_F(ProbeLossGolden, EveryFeatureIsTheReference) {
  const SparseActivations codes = KeepNonZero(Read("in/latents"));
  const at::Tensor labels = Read("in/labels") == 1;
  std::vector<double> w, b, loss;
  for (const FeatureProbe& probe : FitFeatureProbes(codes, labels)) {
    w.push_back(probe.weight);
    b.push_back(probe.intercept);
    loss.push_back(probe.loss);
  }
  ExpectF64(at::tensor(w, at::kDouble), Read("f64/w"), "weight");
  ExpectF64(at::tensor(b, at::kDouble), Read("f64/b"), "weight");
  ExpectF64(at::tensor(loss, at::kDouble), Read("f64/loss"), "loss");
  const ProbeLoss best = MeasureProbeLoss(codes, labels);
  EXPECT_EQ(best.feature, values()["best_latent"].get<int64_t>());
  ExpectF64(best.loss, values()["probe_loss"], "loss");
}

class SparseProbingGolden : public ConceptGolden {
 protected:
  void SetUp() override { Open("sparse_probing"); }

  LabelledCodes Rows(int64_t begin, int64_t count) const {
    return {KeepNonZero(Read("in/acts").narrow(0, begin, count)), Read("in/labels").narrow(0, begin, count) == 1};
  }
};

TEST_F(SparseProbingGolden, FeaturesAndAccuraciesAreExact) {
  const int64_t train = hyper()["n_train"], test = hyper()["n_test"];
  for (const int64_t k : {1, 2, 5, 20}) {
    SCOPED_TRACE(k);
    const nlohmann::json& expected = values()["k=" + std::to_string(k)];
    const SparseProbe probe = ProbeSparsely(Rows(0, train), Rows(train, test), k, hyper()["C"]);
    EXPECT_EQ(probe.features, expected["selected"].get<std::vector<int64_t>>());
    EXPECT_DOUBLE_EQ(probe.train_accuracy, expected["train_accuracy"].get<double>());
    EXPECT_DOUBLE_EQ(probe.test_accuracy, expected["test_accuracy"].get<double>());
    // The reference's solver is iterative.
    const at::Tensor coefficients = at::tensor(expected["coef"].get<std::vector<double>>(), at::kDouble);
    ExpectClose(probe.model.weights, coefficients, 1e-3, 0, Family("coefficients", ".f64"));
    ExpectClose(Scalar(probe.model.intercept), Scalar(expected["intercept"]), 1e-3, 0, Family("coefficients", ".f64"));
  }
}

class AbsorptionGolden : public ConceptGolden {
 protected:
  void SetUp() override { Open("absorption"); }
};

TEST_F(AbsorptionGolden, FractionsAndFullAbsorptionAreTheReference) {
  const AbsorptionOptions defaults;
  EXPECT_EQ(defaults.min_cosine_full, hyper()["full_absorption_probe_cos_sim_threshold"].get<double>());
  EXPECT_EQ(defaults.min_cosine_partial, hyper()["absorption_fraction_probe_cos_sim_threshold"].get<double>());
  EXPECT_EQ(defaults.min_projection_share, hyper()["probe_projection_proportion_threshold"].get<double>());
  EXPECT_EQ(defaults.max_absorbers, hyper()["absorption_fraction_max_absorbing_latents"].get<int64_t>());
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const auto read = [&](const char* name) { return Read(name).to(dtype); };
    const at::Tensor x = read("in/x");
    const at::Tensor acts = ((x - read("w0/b_dec")).mm(read("w0/W_enc")) + read("w0/b_enc")).relu();
    const Absorption absorption = MeasureAbsorption(x, KeepNonZero(acts), read("w0/W_dec"), read("in/probe_direction"),
                                                    hyper()["main_feature_ids"].get<std::vector<int64_t>>());
    ExpectF32(absorption.probe_projection, Read("f32/probe_projection"), "probe_projection");
    ExpectF32(absorption.fraction, Read("f32/absorption_fraction"), "fraction");
    EXPECT_TRUE(at::equal(absorption.is_full, Read("f32/is_full_absorption")));
    ExpectF32(absorption.mean_fraction(), values()["mean_absorption_fraction"], "fraction");
    EXPECT_DOUBLE_EQ(absorption.full_rate(), values()["full_absorption_rate"].get<double>());
  }
}

class DetectionGolden : public ConceptGolden {
 protected:
  void SetUp() override { Open("autointerp_classifier"); }
};

TEST_F(DetectionGolden, CountsAndScoresAreTheReference) {
  const BinaryCounts counts = CountAnswers(Read("in/prediction"), Read("in/activating"));
  const nlohmann::json& confusion = values()["confusion"];
  EXPECT_EQ(counts.true_positives, confusion["true_positives"].get<double>());
  EXPECT_EQ(counts.true_negatives, confusion["true_negatives"].get<double>());
  EXPECT_EQ(counts.false_positives, confusion["false_positives"].get<double>());
  EXPECT_EQ(counts.false_negatives, confusion["false_negatives"].get<double>());
  const nlohmann::json& metrics = values()["metrics"];
  ExpectF64(counts.Precision(), metrics["precision"], "scores");
  ExpectF64(counts.Recall(), metrics["recall"], "scores");
  ExpectF64(counts.TrueNegativeRate(), metrics["true_negative_rate"], "scores");
  ExpectF64(counts.F1(), metrics["f1_score"], "scores");
  ExpectF64(counts.BalancedAccuracy(), metrics["accuracy"], "scores");
  const at::Tensor probability = Read("in/probability");
  ExpectF64(Auc(ToClassPredictions(at::stack({1 - probability, probability}, 1), Read("in/activating").to(at::kLong))),
            values()["auc"], "auc");
}

TEST_F(DetectionGolden, F1IsWeightedByFirings) {
  const at::Tensor firings = Read("in/firing_counts"), latent = Read("in/latent_idx");
  at::Tensor f1 = at::empty({firings.numel()}, at::kDouble);
  for (int64_t i = 0; i < firings.numel(); ++i) {
    const at::Tensor rows = (latent == i).nonzero().squeeze(1);
    f1[i] = CountAnswers(Read("in/prediction").index_select(0, rows), Read("in/activating").index_select(0, rows)).F1();
    ExpectF64(f1[i].item<double>(), values()["per_latent_f1"][std::to_string(i)], "f1_by_feature");
  }
  // The reference weights in float32.
  ExpectF32(FrequencyWeightedF1(f1, firings), values()["frequency_weighted_f1"], "weighted_f1");
}

class SimulationGolden : public ConceptGolden {
 protected:
  void SetUp() override { Open("autointerp_simulation"); }
};

TEST_F(SimulationGolden, ScoresAreTheReference) {
  const at::Tensor simulated = Read("in/simulated"), truth = Read("in/true");
  const SimulationScore score = ScoreSimulation(simulated, truth);
  ExpectF64(score.correlation, values()["aggregate_ev_correlation"], "correlation");
  ExpectF64(score.r_squared, values()["rsquared"], "r_squared");
  ExpectF64(score.absolute_deviation, values()["absolute_dev_explained"], "absolute_deviation");
  for (int64_t i = 0; i < simulated.size(0); ++i) {
    ExpectF64(ScoreSimulation(simulated[i], truth[i]).correlation, values()["per_sequence_ev_correlation"][i],
              "correlation");
  }
}

TEST_F(SimulationGolden, ScaleAndCalibrationsAreTheReference) {
  const at::Tensor simulated = Read("in/simulated"), truth = Read("in/true");
  EXPECT_TRUE(at::equal(ToTenths(truth, values()["max_activation"]), Read("out/normalized_0_10")));
  const at::Tensor scale = at::arange(11, at::kDouble);
  const auto expected = [&](const char* name) {
    return at::tensor(values()[name].get<std::vector<double>>(), at::kDouble);
  };
  ExpectF64(Calibration::Linear(simulated, truth).Apply(scale), expected("linear_calibrated_0_to_10"), "calibration");
  ExpectF64(Calibration::Percentile(simulated, truth).Apply(scale), expected("percentile_calibrated_0_to_10"),
            "calibration");
}

class GeometryGolden : public ConceptGolden {
 protected:
  void SetUp() override { Open("geometry"); }

  Cooccurrences Counts() const {
    const SparseActivations codes = KeepNonZero(Read("in/occurrence").to(at::kFloat));
    std::vector<int64_t> one_row_each(static_cast<size_t>(codes.rows()) + 1);
    for (size_t i = 0; i < one_row_each.size(); ++i) one_row_each[i] = static_cast<int64_t>(i);
    return CountCooccurrences(codes, one_row_each);
  }
};

TEST_F(GeometryGolden, AffinitiesAreTheReference) {
  const Cooccurrences counts = Counts();
  ExpectF64(PhiAffinity(counts), Read("f64/phi"), "affinity");
  ExpectF64(JaccardAffinity(counts), Read("f64/jaccard"), "affinity");
  ExpectF64(DiceAffinity(counts), Read("f64/dice"), "affinity");
  ExpectF64(SimpleMatchingAffinity(counts), Read("f64/simple_matching"), "affinity");
}

TEST_F(GeometryGolden, AnglesAndSpectrumAreTheReference) {
  at::Tensor expected = Read("f64/angular_similarity");
  // The reference's diagonal is arccos at the edge of its domain: 1 but for 1e-8.
  expected.fill_diagonal_(1);
  ExpectF64(AngularSimilarity(Read("in/decoder")), expected, "angular_similarity");
  ExpectF64(CovarianceSpectrum(Read("in/decoder")), Read("f64/cov_eigvals_desc"), "spectrum");
}

TEST_F(GeometryGolden, SpectralClustersAreTheReferenceUpToNames) {
  const std::vector<int64_t> phi = SpectralClusters(PhiAffinity(Counts()) + 1, 3);
  const std::vector<int64_t> angular = SpectralClusters(AngularSimilarity(Read("in/decoder")), 3);
  ExpectF64(AdjustedMutualInformation(phi, Ints(Read("out/spectral_labels_phi"))), 1.0, "spectral_clusters");
  ExpectF64(AdjustedMutualInformation(angular, Ints(Read("out/spectral_labels_angular"))), 1.0, "spectral_clusters");
  ExpectF64(AdjustedMutualInformation(phi, Ints(Read("in/planted_groups"))), values()["ami_phi_vs_planted"], "ami");
  ExpectF64(AdjustedMutualInformation(phi, angular), values()["ami_phi_vs_angular"], "ami");
}

}  // namespace
}  // namespace lifescope
