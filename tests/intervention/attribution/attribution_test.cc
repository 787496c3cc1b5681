#include "server/intervention/attribution/attribution.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <set>

#include "server/intervention/attribution/feature_circuit.h"
#include "server/intervention/attribution/saliency.h"
#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

constexpr int64_t kPosition = 7;
const Metric kMetric = LogitDifferenceMetric{kPosition, 12, 17};

// SmallModel in float64, so that differences are those of the method.
const Transformer& DoubleModel() {
  static const Transformer model = [] {
    Weights weights = SmallModel().weights();
    for (auto& [name, tensor] : TrainableTensors(weights)) *tensor = tensor->to(at::kDouble);
    for (BlockWeights& block : weights.blocks) block.projection = block.projection.to(at::kDouble);
    weights.mlm.decoder = weights.embedding.token;
    return Transformer(SmallModel().hyperparameters(), weights);
  }();
  return model;
}

RunDictionary DoubleDictionary(const std::string& point, uint64_t seed) {
  return {std::make_shared<const ReluDictionary>(16, 24, at::kDouble, seed), Point(point)};
}

AttributionRequest Request(AttributionNodes nodes, Baseline baseline, GradientRule rule, int64_t steps = 10) {
  return {RandomDocument(1, 20), kMetric, std::move(nodes), std::move(baseline), rule, steps};
}

double LogitDifference(const Document& document, const Intervention* intervention) {
  Run run;
  run.documents = {document};
  const int64_t read = AddRead(&run, LogitDifferenceRead{12, 17}, At({kPosition}));
  if (intervention == nullptr) return TensorOf(Execute(run, DoubleModel()).clean[0], read).item<double>();
  run.interventions = {*intervention};
  return TensorOf(Execute(run, DoubleModel()).interventions[0].documents[0], read).item<double>();
}

TEST(Attribution, GradientIsTheSlopeOfTheMetric) {
  const Document document = RandomDocument(1, 20);
  for (const char* name : {"hook_embed_token", "hook_embed_age", "blocks.0.hook_resid_pre", "blocks.0.attn.hook_z",
                           "blocks.1.mlp.hook_post", "blocks.1.hook_resid_post"}) {
    SCOPED_TRACE(name);
    const ActivationGradients at = GradientsAt(document, kMetric, DoubleModel(), {Point(name)});
    const at::Tensor rows = at.activations[0].flatten(1), gradient = at.gradients[0].flatten(1);
    const GradientOptions options;
    const SubstitutedRuns runs(document, Point(name), kMetric, DoubleModel(), options);
    at::manual_seed(2);
    const at::Tensor direction = at::randn_like(rows);
    const at::Tensor ends =
        runs.Metrics(2, [&](int64_t copy) { return rows + (copy == 0 ? -1e-6 : 1e-6) * direction; });
    const double slope = (ends[1] - ends[0]).item<double>() / 2e-6;
    // A change of keys moves FAVOR+'s stabiliser, which the published gradient leaves out; it is small, not zero.
    EXPECT_NEAR(slope, (gradient * direction).sum().item<double>(), 2e-3 * (1 + std::abs(slope)));
  }
}

TEST(Attribution, LastResidualGradientIsExactlyTheSlope) {
  const Document document = RandomDocument(1, 20);
  const HookPoint last = Point("blocks.1.hook_resid_post");
  const ActivationGradients at = GradientsAt(document, kMetric, DoubleModel(), {last});
  const GradientOptions options;
  const SubstitutedRuns runs(document, last, kMetric, DoubleModel(), options);
  const at::Tensor direction = at::ones_like(at.activations[0]);
  const at::Tensor ends =
      runs.Metrics(2, [&](int64_t copy) { return at.activations[0] + (copy == 0 ? -1e-6 : 1e-6) * direction; });
  EXPECT_NEAR((ends[1] - ends[0]).item<double>() / 2e-6, at.gradients[0].sum().item<double>(), 1e-7);
  // Only the row that the metric reads matters.
  EXPECT_EQ(at.gradients[0].abs().sum(1).ne(0).sum().item<int64_t>(), 1);
}

TEST(Attribution, IntegratedGradientsAddUpToTheEffect) {
  const Document other = RandomDocument(9, 20);
  const auto residual = [&](GradientRule rule, int64_t steps) {
    const Attribution result =
        Attribute(Request(ActivationNodes{Point("blocks.1.hook_resid_post")}, DocumentBaseline{other}, rule, steps),
                  DoubleModel());
    EXPECT_NEAR(result.metric_value, LogitDifference(RandomDocument(1, 20), nullptr), 1e-12);
    EXPECT_NEAR(result.completeness_residual,
                result.effects.sum().item<double>() - (result.metric_baseline - result.metric_value), 1e-12);
    return std::abs(result.completeness_residual);
  };
  EXPECT_GT(residual(GradientRule::kAtValue, 1), 1e-3);
  // Orders of the rules: left 1, middle and trapezoid 2.
  EXPECT_LT(residual(GradientRule::kIntegratedLeft, 200), 0.7 * residual(GradientRule::kIntegratedLeft, 100));
  EXPECT_LT(residual(GradientRule::kIntegratedMidpoint, 200), 0.3 * residual(GradientRule::kIntegratedMidpoint, 100));
  EXPECT_LT(residual(GradientRule::kIntegratedTrapezoid, 200), 0.3 * residual(GradientRule::kIntegratedTrapezoid, 100));
  EXPECT_LT(residual(GradientRule::kIntegratedMidpoint, 200), 1e-4);
}

TEST(Attribution, FinerNodesAddUpToPositions) {
  const HookPoint z = Point("blocks.0.attn.hook_z");
  const auto effects = [&](ActivationUnit unit) {
    return Attribute(Request(ActivationNodes{z, unit}, ZeroBaseline{}, GradientRule::kAtValue), DoubleModel()).effects;
  };
  const at::Tensor positions = effects(ActivationUnit::kPosition), heads = effects(ActivationUnit::kHead),
                   channels = effects(ActivationUnit::kChannel);
  EXPECT_EQ(heads.sizes(), (std::vector<int64_t>{20, 4}));
  EXPECT_EQ(channels.sizes(), (std::vector<int64_t>{20, 16}));
  ExpectNear(heads.sum(1), positions, 1e-12);
  ExpectNear(channels.view({20, 4, 4}).sum(2), heads, 1e-12);
}

TEST(Attribution, FeaturesAndErrorsAddUpToPositions) {
  const RunDictionary dictionary = DoubleDictionary("blocks.0.hook_resid_post", 5);
  for (const Baseline& baseline : {Baseline(DocumentBaseline{RandomDocument(9, 20)}), Baseline(ZeroBaseline{})}) {
    const Attribution features =
        Attribute(Request(FeatureNodes{dictionary}, baseline, GradientRule::kIntegratedTrapezoid, 40), DoubleModel());
    EXPECT_LT(std::abs(features.completeness_residual), 1e-3);
    if (!std::holds_alternative<DocumentBaseline>(baseline)) continue;
    // All features and errors of the other document are its activation.
    const Attribution positions =
        Attribute(Request(ActivationNodes{dictionary.hook_point}, baseline, GradientRule::kIntegratedTrapezoid, 40),
                  DoubleModel());
    ExpectNear(features.effects.sum(1) + features.error_effects, positions.effects, 1e-10);
    EXPECT_NEAR(features.metric_baseline, positions.metric_baseline, 1e-10);
  }
}

TEST(Attribution, ExactEffectsAreThoseOfTheRunEngine) {
  const RunDictionary dictionary = DoubleDictionary("blocks.0.hook_resid_post", 5);
  AttributionRequest request = Request(FeatureNodes{dictionary}, ZeroBaseline{}, GradientRule::kAtValue);
  request.exact_count = 12;
  const Attribution result = Attribute(request, DoubleModel());
  ASSERT_EQ(result.check.nodes.size(), 12u);
  const GradientOptions options;
  const at::Tensor f = dictionary.dictionary->Encode(
      SubstitutedRuns(request.document, dictionary.hook_point, kMetric, DoubleModel(), options)
          .ActivationOf(request.document));
  std::set<int64_t> positions;
  ASSERT_TRUE(result.check.correlation.has_value());
  for (size_t i = 0; i < result.check.nodes.size(); ++i) {
    const int64_t node = result.check.nodes[i];
    positions.insert(node < result.effects.numel() ? node / 24 : node - result.effects.numel());
    if (node >= result.effects.numel()) continue;
    EXPECT_NE(f.flatten()[node].item<double>(), 0) << "a feature that does not change was drawn";
    lifescope::Run run;
    run.documents = {request.document};
    run.dictionaries = {dictionary};
    const int64_t read = AddRead(&run, LogitDifferenceRead{12, 17}, At({kPosition}));
    AddIntervention(&run, {MakeEdit(FeatureTarget{0, {node % 24}}, Zero{}, At({node / 24}))});
    const double patched = TensorOf(Execute(run, DoubleModel()).interventions[0].documents[0], read).item<double>();
    EXPECT_NEAR(result.check.exact[i], patched - result.metric_value, 1e-10);
    EXPECT_EQ(result.check.predicted[i], result.effects.flatten()[node].item<double>());
  }
  EXPECT_GT(positions.size(), 4u) << "drawn from the first positions alone";
}

TEST(Attribution, ExactEffectsOfHeads) {
  AttributionRequest request = Request(ActivationNodes{Point("blocks.0.attn.hook_z"), ActivationUnit::kHead},
                                       ZeroBaseline{}, GradientRule::kAtValue);
  request.exact_count = 5;
  const Attribution result = Attribute(request, DoubleModel());
  for (size_t i = 0; i < result.check.nodes.size(); ++i) {
    const int64_t position = result.check.nodes[i] / 4, head = result.check.nodes[i] % 4;
    const Intervention ablation{"", {MakeEdit(HeadTarget{0, head}, Zero{}, At({position}))}};
    EXPECT_NEAR(result.check.exact[i], LogitDifference(request.document, &ablation) - result.metric_value, 1e-10);
  }
}

TEST(Attribution, MeanBaselineIsTheMeanOverTheDocuments) {
  const MeanBaseline mean{{RandomDocument(2, 31), RandomDocument(3, 9)}};
  const HookPoint point = Point("blocks.0.hook_resid_post");
  const Attribution result = Attribute(Request(ActivationNodes{point}, mean, GradientRule::kAtValue), DoubleModel());
  const GradientOptions options;
  const Document document = RandomDocument(1, 20);
  const SubstitutedRuns runs(document, point, kMetric, DoubleModel(), options);
  const at::Tensor rows = at::cat({runs.ActivationOf(mean.documents[0]), runs.ActivationOf(mean.documents[1])});
  const at::Tensor metric = runs.Metrics(1, [&](int64_t) { return rows.mean(0).expand({20, 16}); });
  EXPECT_NEAR(result.metric_baseline, metric[0].item<double>(), 1e-12);
}

TEST(Attribution, MeanBaselineOfFeaturesIsThatOfTheFeaturesAndTheErrors) {
  const MeanBaseline mean{{RandomDocument(2, 31), RandomDocument(3, 9)}};
  const RunDictionary dictionary = DoubleDictionary("blocks.0.hook_resid_post", 5);
  const GradientOptions options;
  const Document document = RandomDocument(1, 20);
  const SubstitutedRuns runs(document, dictionary.hook_point, kMetric, DoubleModel(), options);
  const FeatureSpace features(*dictionary.dictionary, runs.ActivationOf(document));
  const FeatureSpace all(*dictionary.dictionary,
                         at::cat({runs.ActivationOf(mean.documents[0]), runs.ActivationOf(mean.documents[1])}));
  const FeatureBaseline baseline = FeaturesAtBaseline(mean, features, runs);
  ExpectNear(baseline.values, all.values().mean(0).expand({20, 24}), 1e-12);
  ExpectNear(baseline.errors, all.errors().mean(0).expand({20, 16}), 1e-12);
}

TEST(Attribution, GradientsAddUpOverBatches) {
  AttributionRequest request = Request(ActivationNodes{Point("blocks.0.hook_resid_post")}, ZeroBaseline{},
                                       GradientRule::kIntegratedTrapezoid, 6);
  const Attribution together = Attribute(request, DoubleModel());
  request.options.batch_tokens = 40;
  const Attribution in_pairs = Attribute(request, DoubleModel());
  ExpectNear(in_pairs.gradient, together.gradient, 1e-12);
  ExpectNear(in_pairs.effects, together.effects, 1e-12);
}

TEST(Attribution, SaliencyIsInputTimesGradient) {
  const Saliency saliency = ComputeSaliency(RandomDocument(1, 20), kMetric, DoubleModel());
  const ActivationGradients at = GradientsAt(RandomDocument(1, 20), kMetric, DoubleModel(), {Point("hook_embed")});
  const at::Tensor product = (at.activations[0] * at.gradients[0]).sum(1);
  ExpectNear(saliency.input_x_gradient * product.norm(), product, 1e-12);
  EXPECT_NEAR(saliency.input_x_gradient.norm().item<double>(), 1, 1e-12);
  EXPECT_NEAR(saliency.input_x_gradient_sum, product.sum().item<double>(), 1e-12);
  ExpectNear(saliency.gradient_norm, at.gradients[0].norm(2, 1), 1e-12);
}

TEST(Attribution, RefusesWhatItCannotAnswer) {
  const auto message = [](const AttributionRequest& request) -> std::string {
    try {
      Attribute(request, DoubleModel());
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    }
    return "";
  };
  const ActivationNodes nodes{Point("blocks.0.hook_resid_post")};
  AttributionRequest request = Request(nodes, DocumentBaseline{RandomDocument(2, 31)}, GradientRule::kAtValue);
  EXPECT_EQ(message(request), "baseline.document: 31 positions, expected 20, as many as the document has");
  request = Request(ActivationNodes{nodes.hook_point, ActivationUnit::kHead}, ZeroBaseline{}, GradientRule::kAtValue);
  EXPECT_NE(message(request).find("blocks.0.hook_resid_post has no heads"), std::string::npos);
  request = Request(ActivationNodes{Point("blocks.0.attn.hook_kv")}, ZeroBaseline{}, GradientRule::kAtValue);
  EXPECT_NE(message(request).find("blocks.0.attn.hook_kv has no row per position"), std::string::npos);
  request = Request(nodes, ZeroBaseline{}, GradientRule::kIntegratedLeft, 0);
  EXPECT_EQ(message(request), "steps: 0, expected a positive number");
  request = Request(nodes, ZeroBaseline{}, GradientRule::kAtValue);
  request.metric = LogProbabilityMetric{20, 12};
  EXPECT_EQ(message(request), "metric.position: 20, expected 0 <= position < 20");
}

class FeatureCircuits : public ::testing::Test {
 protected:
  FeatureCircuits() {
    request_.document = RandomDocument(1, 20);
    request_.metric = kMetric;
    request_.upstream = DoubleDictionary("blocks.0.hook_resid_post", 5);
    request_.downstream = DoubleDictionary("blocks.1.hook_resid_post", 6);
    request_.baseline = ZeroBaseline{};
  }
  FeatureCircuitRequest request_;
};

TEST_F(FeatureCircuits, EveryNodeIsTheWholeModel) {
  request_.upstream_count = request_.downstream_count = 20 * 25;
  const FeatureCircuit circuit = FindFeatureCircuit(request_, DoubleModel());
  EXPECT_NEAR(circuit.metric_full, LogitDifference(request_.document, nullptr), 1e-10);
  // Nodes without effect are left out on both sides: only the metric's own row counts downstream.
  ASSERT_TRUE(circuit.faithfulness.has_value());
  EXPECT_NEAR(*circuit.faithfulness, 1, 1e-9);
  for (const CircuitNode& node : circuit.downstream) EXPECT_EQ(node.position, kPosition);
}

TEST_F(FeatureCircuits, EdgesAreTheDerivativeThroughTheNode) {
  request_.upstream_count = 4;
  request_.downstream_count = 3;
  const FeatureCircuit circuit = FindFeatureCircuit(request_, DoubleModel());
  ASSERT_EQ(circuit.upstream.size(), 4u);
  ASSERT_EQ(circuit.edges.size(), circuit.upstream.size() * circuit.downstream.size());
  // Per unit: move the upstream node a little towards its baseline and see the downstream node move.
  const HookPoint later = request_.downstream.hook_point;
  const Dictionary& up = *request_.upstream.dictionary;
  const Dictionary& down = *request_.downstream.dictionary;
  const GradientOptions options;
  const SubstitutedRuns runs(request_.document, request_.upstream.hook_point, kMetric, DoubleModel(), options);
  const at::Tensor x = runs.ActivationOf(request_.document);
  const at::Tensor gradient = GradientsAt(request_.document, kMetric, DoubleModel(), {later}).gradients[0];
  for (const CircuitEdge& edge : circuit.edges) {
    const CircuitNode& from = circuit.upstream[edge.from];
    const CircuitNode& to = circuit.downstream[edge.to];
    const at::Tensor f = up.Encode(x);
    at::Tensor way = from.feature < 0 ? -(x - up.Decode(f, x))[from.position]
                                      : -f[from.position][from.feature] * up.DecoderDirections()[from.feature];
    const auto weighted = [&](double step) {
      const at::Tensor moved = x.clone();
      moved[from.position].add_(step * way);
      at::Tensor rows;
      runs.MetricWith(moved, later, [&](const at::Tensor& present) { return rows = present; });
      const at::Tensor row = rows.narrow(0, to.position, 1), values = down.Encode(row);
      const at::Tensor g = gradient[to.position];
      if (to.feature < 0) return (row - down.Decode(values, row))[0].dot(g).item<double>();
      return values[0][to.feature].item<double>() * down.DecoderDirections()[to.feature].dot(g).item<double>();
    };
    const double slope = (weighted(1e-5) - weighted(-1e-5)) / 2e-5;
    EXPECT_NEAR(edge.weight, slope, 1e-3 * (std::abs(slope) + 1e-2)) << from.feature << " -> " << to.feature;
  }
}

TEST_F(FeatureCircuits, EdgesAreTheSameOneByOne) {
  request_.upstream_count = request_.downstream_count = 5;
  const FeatureCircuit together = FindFeatureCircuit(request_, DoubleModel());
  request_.options.batch_tokens = 20;
  const FeatureCircuit alone = FindFeatureCircuit(request_, DoubleModel());
  ASSERT_EQ(alone.edges.size(), together.edges.size());
  for (size_t i = 0; i < alone.edges.size(); ++i) EXPECT_NEAR(alone.edges[i].weight, together.edges[i].weight, 1e-12);
}

// Queries come before values, which do not depend on them.
TEST_F(FeatureCircuits, EdgesBetweenPointsThatAreNotConnectedAreZero) {
  request_.upstream = DoubleDictionary("blocks.0.attn.hook_q", 5);
  request_.downstream = DoubleDictionary("blocks.0.attn.hook_v", 6);
  const FeatureCircuit circuit = FindFeatureCircuit(request_, DoubleModel());
  EXPECT_FALSE(circuit.edges.empty());
  for (const CircuitEdge& edge : circuit.edges) EXPECT_EQ(edge.weight, 0);
}

TEST_F(FeatureCircuits, RefusesTheWrongOrder) {
  std::swap(request_.upstream, request_.downstream);
  EXPECT_THROW(FindFeatureCircuit(request_, DoubleModel()), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
