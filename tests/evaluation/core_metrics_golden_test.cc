// Every value of golden sae/metrics/core_metrics, in both precisions: a toy language model (residual stream
// E[token] + P[position], logits tanh(residual M) U, next-token cross-entropy) with a dictionary spliced in.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/dictionary/standard_sae.h"
#include "server/evaluation/dictionary_similarity.h"
#include "server/evaluation/downstream_metrics.h"
#include "server/evaluation/feature_density.h"
#include "server/evaluation/peer_metrics.h"
#include "server/evaluation/reconstruction_metrics.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

constexpr int64_t kBatches = 3, kDocuments = 8, kLength = 12, kBatchRows = kDocuments * kLength;

using Values = std::map<std::string, double>;

Values ByName(const std::vector<Measurement>& metrics) {
  Values values;
  for (const Measurement& m : metrics) values[m.metric] = m.value;
  return values;
}

class CoreMetricsGolden : public testing::TestWithParam<at::ScalarType> {
 protected:
  bool is_double() const { return GetParam() == at::kDouble; }
  std::string precision() const { return is_double() ? "f64" : "f32"; }
  at::Tensor In(const std::string& name) const { return file_.Read(name).to(GetParam()); }

  void Expect(double actual, const nlohmann::json& expected, const std::string& family, double relative = 1e-9) const {
    const auto scalar = [](double value) { return at::scalar_tensor(value, at::kDouble); };
    const std::string full = "sae.metrics." + family + "." + precision();
    if (is_double()) {
      ExpectClose(scalar(actual), scalar(expected.get<double>()), 0, relative, full);
    } else {
      ExpectClose(scalar(actual), scalar(expected.get<double>()), 1e-5, 0, full);
    }
  }

  void ExpectTensor(const at::Tensor& actual, const std::string& name, const std::string& family) const {
    ExpectClose(actual, file_.Read(name), is_double() ? 1e-12 : 1e-5, is_double() ? 1e-9 : 0,
                "sae.metrics." + family + "." + precision());
  }

  // Features and reconstruction of some activations.
  struct Encoded {
    at::Tensor x, features, reconstruction;
  };
  Encoded Encode(const at::Tensor& x) const {
    const at::Tensor features = sae_.Encode(x);
    return {x, features, sae_.Decode(features, x)};
  }

  // Row indices of a batch (-1: of all) whose token is none of the ignored.
  at::Tensor Rows(int64_t batch, const std::vector<int64_t>& ignored = {}) const {
    at::Tensor keep = at::ones({kBatches * kBatchRows}, at::kBool);
    for (const int64_t token : ignored) keep = keep & tokens_.ne(token);
    const at::Tensor rows = keep.nonzero().squeeze(1);
    return batch < 0 ? rows : rows.masked_select(rows.div(kBatchRows, "floor").eq(batch));
  }

  at::Tensor Logits(const at::Tensor& residual) const { return residual.mm(In("in/lm/M")).tanh().mm(In("in/lm/U")); }

  // Metrics of the rows whose next token is predicted, or of all (for KL).
  Values Downstream(const at::Tensor& rows, const at::Tensor& replaced, const at::Tensor& mean) const {
    const at::Tensor is_replaced = at::zeros({x_.size(0), 1}, at::kBool).index_fill(0, replaced, 1);
    const auto patched = [&](const at::Tensor& value) { return Logits(at::where(is_replaced, value, x_)); };
    const PatchedLogits all{Logits(x_), patched(Encode(x_).reconstruction), patched(at::zeros_like(x_)),
                            patched(mean.expand_as(x_))};
    const auto metrics = [&](const at::Tensor& which, const at::Tensor& targets) {
      const auto at_rows = [&](const at::Tensor& logits) { return logits.index_select(0, which); };
      return ByName(DownstreamMetrics(
          DownstreamTerms(
              {at_rows(all.clean), at_rows(all.spliced), at_rows(all.zero_ablated), at_rows(all.mean_ablated)}, targets)
              .sum(0)));
    };
    const at::Tensor predicting = rows.masked_select(rows.remainder(kLength).ne(kLength - 1));
    Values values = metrics(predicting, tokens_.index_select(0, predicting + 1));
    // The references take the divergence at the last position too.
    for (const auto& [name, value] : metrics(rows, tokens_.index_select(0, rows))) {
      if (name.rfind("kl_", 0) == 0) values[name] = value;
    }
    return values;
  }

  Values Reconstruction(const Encoded& encoded) const {
    return ByName(
        ReconstructionMetrics(ReconstructionTerms(encoded.x, encoded.reconstruction, encoded.features).sum(0)));
  }

  void ExpectDownstream(const Values& values, const nlohmann::json& expected) const {
    // The toy model's weights are stored rounded to float32, which the reference's float64 run did not use.
    const double rounded = 1e-7;
    const auto expect = [&](const char* ours, const char* theirs) {
      Expect(values.at(ours), expected[theirs], "core_metrics.downstream", rounded);
    };
    expect("cross_entropy_clean", "ce_loss_without_sae");
    expect("cross_entropy_spliced", "ce_loss_with_sae");
    expect("cross_entropy_zero_ablated", "ce_loss_with_ablation");
    expect("loss_recovered_zero", "ce_loss_score");
    expect("kl_spliced", "kl_div_with_sae");
    expect("kl_zero_ablated", "kl_div_with_ablation");
    expect("kl_recovered_zero", "kl_div_score");
  }

  void ExpectSparsityVariance(const std::vector<int64_t>& ignored, const nlohmann::json& expected) const {
    PeerMetrics peer_metrics;
    for (int64_t batch = 0; batch < kBatches; ++batch) {
      const Encoded encoded = Encode(x_.index_select(0, Rows(batch, ignored)));
      peer_metrics.AddBatch(encoded.x, encoded.reconstruction);
    }
    const Values peers = ByName(peer_metrics.Values());
    const Values ours = Reconstruction(Encode(x_.index_select(0, Rows(-1, ignored))));
    const std::string family = "core_metrics.sparsity_variance";
    Expect(ours.at("l0"), expected["l0"], family);
    Expect(ours.at("l1"), expected["l1"], family);
    Expect(ours.at("l2_norm_in"), expected["l2_norm_in"], family);
    Expect(ours.at("l2_norm_out"), expected["l2_norm_out"], family);
    Expect(ours.at("l2_ratio"), expected["l2_ratio"], family);
    Expect(ours.at("cosine"), expected["cossim"], family);
    Expect(peers.at("sae_lens.mse"), expected["mse"], family);
    Expect(peers.at("sae_lens.explained_variance"), expected["explained_variance"], family);
    Expect(peers.at("sae_lens.explained_variance_legacy"), expected["explained_variance_legacy"], family);
    Expect(peers.at("sae_lens.relative_reconstruction_bias"), expected["relative_reconstruction_bias"], family);
  }

  void ExpectDictionaryLearning(bool normalised, const nlohmann::json& expected) const {
    PeerMetrics peer_metrics;
    FeatureCounts counts(sae_.feature_count());
    std::vector<at::Tensor> terms;
    for (int64_t batch = 0; batch < kBatches; ++batch) {
      at::Tensor x = x_.index_select(0, Rows(batch));
      // Rescaled so that rows have the mean norm sqrt(width).
      if (normalised) x = x * (std::sqrt(static_cast<double>(x.size(1))) / x.norm(2, {1}).mean());
      const Encoded encoded = Encode(x);
      peer_metrics.AddBatch(x, encoded.reconstruction);
      counts.AddDocument(encoded.features);
      terms.push_back(ReconstructionTerms(x, encoded.reconstruction, encoded.features));
    }
    const Values peers = ByName(peer_metrics.Values());
    const Values ours = ByName(ReconstructionMetrics(at::cat(terms).sum(0)));
    const std::string family = "core_metrics.dl_evaluate";
    Expect(peers.at("dictionary_learning.l2_loss"), expected["l2_loss"], family);
    Expect(peers.at("dictionary_learning.frac_variance_explained"), expected["frac_variance_explained"], family);
    Expect(peers.at("sae_lens.relative_reconstruction_bias"), expected["relative_reconstruction_bias"], family);
    Expect(ours.at("l1"), expected["l1_loss"], family);
    Expect(ours.at("l0"), expected["l0"], family);
    Expect(ours.at("cosine"), expected["cossim"], family);
    Expect(ours.at("l2_ratio"), expected["l2_ratio"], family);
    Expect(ByName(DensityMetrics(counts.Densities())).at("alive_fraction"), expected["frac_alive"], family);
  }

  FeatureCounts CountFeatures() const {
    FeatureCounts counts(sae_.feature_count());
    const at::Tensor features = sae_.Encode(x_);
    for (int64_t row = 0; row < features.size(0); row += kLength) counts.AddDocument(features.narrow(0, row, kLength));
    return counts;
  }

  const SafetensorsFile file_ = SafetensorsFile::Open(GoldenPath("sae/metrics/core_metrics/fixture.safetensors"));
  const nlohmann::json json_ = nlohmann::json::parse(ReadFile(GoldenPath("sae/metrics/core_metrics/fixture.json")));
  const nlohmann::json values_ = json_["values"][precision()];
  const at::Tensor tokens_ = file_.Read("in/tokens").flatten();
  const at::Tensor x_ = In("f64/x");
  const StandardSae sae_{{In("w0/W_enc"), In("w0/W_dec"), In("w0/b_dec")}, In("w0/b_enc")};
};

TEST_P(CoreMetricsGolden, InputsAreTheReference) {
  const at::Tensor embedded =
      (In("in/lm/E").index_select(0, tokens_).reshape({-1, kLength, x_.size(1)}) + In("in/lm/P")).reshape_as(x_);
  // Stored rounded to float32.
  ExpectClose(embedded, file_.Read("f64/x"), 1e-6, 0, "sae.metrics.core_metrics.x." + precision());
  ExpectTensor(Encode(x_).features, "f64/acts", "core_metrics.acts");
  ExpectTensor(Encode(x_).reconstruction, "f64/recon", "core_metrics.recon");
}

TEST_P(CoreMetricsGolden, DownstreamOfAllTokensIsTheReference) {
  const Values values = Downstream(Rows(-1), Rows(-1), x_.mean(0));
  ExpectDownstream(values, values_["all_tokens"]["downstream"]);
  ExpectDownstream(values, values_["saebench"]["downstream"]);
}

TEST_P(CoreMetricsGolden, IgnoredTokensAreNeitherMeasuredNorReplaced) {
  const at::Tensor rows = Rows(-1, {0, 1});
  ExpectDownstream(Downstream(rows, rows, x_.mean(0)), values_["ignore_0_1"]["downstream"]);
  ExpectSparsityVariance({0, 1}, values_["ignore_0_1"]["sparsity_variance"]);
}

TEST_P(CoreMetricsGolden, SparsityAndVarianceAreTheReference) {
  ExpectSparsityVariance({}, values_["all_tokens"]["sparsity_variance"]);
  ExpectSparsityVariance({}, values_["saebench"]["sparsity_variance"]);
}

TEST_P(CoreMetricsGolden, DictionaryLearningsEvaluateIsTheReference) {
  ExpectDictionaryLearning(false, values_["dl_evaluate"]);
  ExpectDictionaryLearning(true, values_["dl_evaluate_normalized"]);
}

TEST_P(CoreMetricsGolden, FirstBatchLossesAreTheReference) {
  const nlohmann::json& expected = values_["ce_batch0"];
  const at::Tensor rows = Rows(0);
  const Values values = Downstream(rows, rows, x_.index_select(0, rows).mean(0));
  for (const auto& [theirs, ours] : std::map<std::string, std::string>{{"clean", "cross_entropy_clean"},
                                                                       {"recon", "cross_entropy_spliced"},
                                                                       {"zero", "cross_entropy_zero_ablated"},
                                                                       {"mean", "cross_entropy_mean_ablated"},
                                                                       {"loss_recovered_zero", "loss_recovered_zero"},
                                                                       {"loss_recovered_mean", "loss_recovered_mean"},
                                                                       {"delta_lm_loss", "delta_cross_entropy"}}) {
    Expect(values.at(ours), expected[theirs], "core_metrics.ce_batch0", 1e-7);
  }
  const at::Tensor kl =
      KlDivergences(Logits(x_.index_select(0, rows)), Logits(Encode(x_).reconstruction.index_select(0, rows)));
  ExpectClose(kl.reshape({kDocuments, kLength}), file_.Read("f64/kl_batch0"), is_double() ? 1e-6 : 1e-5, 0,
              "sae.metrics.core_metrics.kl_batch0." + precision());
}

TEST_P(CoreMetricsGolden, DefinitionsAreTheReference) {
  const nlohmann::json& expected = values_["definitions"];
  const Encoded encoded = Encode(x_);
  const Values ours = Reconstruction(encoded);
  PeerMetrics one_batch;
  one_batch.AddBatch(encoded.x, encoded.reconstruction);
  const Values peers = ByName(one_batch.Values());
  const Values densities = ByName(DensityMetrics(CountFeatures().Densities()));
  Values actual{{"mse_sum_over_features_mean_over_batch", ours.at("mse_sum")},
                {"mse_mean_over_elements", ours.at("mse_mean")},
                {"fvu_total", ours.at("fvu")},
                {"explained_variance_total", ours.at("explained_variance")},
                {"explained_variance_residual_centred", peers.at("dictionary_learning.frac_variance_explained")},
                {"explained_variance_per_dim_mean", peers.at("explained_variance_per_dim_mean")},
                {"explained_variance_per_sample_mean", peers.at("sae_lens.explained_variance_legacy")},
                {"nmse_uncentred", ours.at("normalized_mse_uncentred")},
                {"nmse_uncentred_per_sample", ours.at("normalized_mse_uncentred_row_mean")},
                {"cosine_mean", ours.at("cosine")},
                {"l2_ratio_mean", ours.at("l2_ratio")},
                {"relative_reconstruction_bias", ours.at("relative_reconstruction_bias")},
                {"l0", ours.at("l0")},
                {"l1", ours.at("l1")},
                {"n_dead_on_sample", densities.at("dead_feature_count")},
                {"n_dense_gt_10pct", densities.at("dense_feature_count")}};
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, value] : actual) Expect(value, expected[name], "core_metrics.definitions");
}

TEST_P(CoreMetricsGolden, SaeBenchsFeatureStatisticsAreTheReference) {
  const nlohmann::json& expected = values_["saebench"]["misc"];
  const FeatureCounts counts = CountFeatures();
  Values actual = ByName(DensityMetrics(counts.Densities()));
  const at::Tensor encoder = In("w0/W_enc").t(), decoder = In("w0/W_dec");
  const at::Tensor encoder_cosines = MaxCosinesWithin(encoder), decoder_cosines = MaxCosinesWithin(decoder);
  const std::string family = "core_metrics.saebench_misc";
  Expect(encoder_cosines.mean().item<double>(), expected["average_max_encoder_cosine_sim"], family);
  Expect(decoder_cosines.mean().item<double>(), expected["average_max_decoder_cosine_sim"], family);
  Expect(actual.at("alive_fraction"), expected["frac_alive"], family);
  Expect(actual.at("frequency_over_1_percent"), expected["freq_over_1_percent"], family);
  Expect(actual.at("frequency_over_10_percent"), expected["freq_over_10_percent"], family);
  Expect(actual.at("normalized_frequency_over_1_percent"), expected["normalized_freq_over_1_percent"], family);
  Expect(actual.at("normalized_frequency_over_10_percent"), expected["normalized_freq_over_10_percent"], family);
  ExpectTensor(encoder_cosines, "f64/max_encoder_cos", family);
  ExpectTensor(decoder_cosines, "f64/max_decoder_cos", family);
  ExpectTensor(encoder.norm(2, {1}), "f64/sl_encoder_norm", family);
  ExpectTensor(PairedCosines(encoder, decoder), "f64/sl_enc_dec_cos", family);
}

TEST_P(CoreMetricsGolden, DensitiesAreTheReference) {
  const FeatureCounts counts = CountFeatures();
  const at::Tensor densities = counts.Densities();
  EXPECT_EQ(counts.rows(), kBatches * kBatchRows);
  ExpectTensor(densities, "f64/feature_density", "core_metrics.densities");
  ExpectTensor(densities, "f64/sl_feature_density", "core_metrics.densities");
  ExpectTensor(LogDensities(densities), "f64/log10_density", "core_metrics.densities");
  const std::vector<int64_t> histogram = LogDensityHistogram(densities);
  EXPECT_TRUE(at::equal(at::tensor(histogram, at::kLong).to(at::kDouble), file_.Read("f64/log10_density_hist20")));
  // Dead features have none there either.
  const at::Tensor consistent = file_.Read("f64/sl_consistent_activation"), alive = densities.gt(0);
  EXPECT_TRUE(at::equal(consistent.isnan(), ~alive));
  ExpectClose(counts.ConsistentActivation().masked_select(alive), consistent.masked_select(alive), 0, 1e-9,
              "sae.metrics.core_metrics.densities." + precision());
}

// The fixture is not in the small golden set.
std::vector<at::ScalarType> Precisions() {
  if (!HasGolden("sae/metrics/core_metrics")) return {};
  return {at::kFloat, at::kDouble};
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CoreMetricsGolden);
INSTANTIATE_TEST_SUITE_P(Precision, CoreMetricsGolden, testing::ValuesIn(Precisions()),
                         [](const auto& info) { return info.param == at::kDouble ? "f64" : "f32"; });

}  // namespace
}  // namespace lifescope
