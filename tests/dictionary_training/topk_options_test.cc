// Options of TopK objectives: the sparse path against the definition where no golden fixture goes, and what is refused.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "server/dictionary/training/topk_recipes.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

constexpr int64_t kWidth = 12, kFeatures = 40, kRows = 30;

TopKOptions SmallOptions() {
  TopKOptions options;
  options.input_dim = kWidth;
  options.feature_count = kFeatures;
  options.selection.k = 4;
  options.auxk.coefficient = 0.5;
  options.dead.after = 1000;
  return options;
}

// Parameters of norm about 1 away from where a training starts; low biases leave rows with fewer positive
// pre-activations than k. A third of the features is dead.
struct Start {
  explicit Start(const TopKObjective& objective)
      : parameters(objective.Initialise(5)), state(objective.InitialState()) {
    RandomTensors random(7);
    for (auto& [name, parameter] : parameters) parameter = parameter + 0.2 * random.Normal(parameter.sizes());
    const auto bias = parameters.find(kEncoderBias);
    if (bias != parameters.end()) bias->second = bias->second - 1.2;
    const at::Tensor input = random.Normal({kRows, objective.input_dim()});
    rows = {input, objective.output_dim() == kWidth ? input : random.Normal({kRows, objective.output_dim()})};
    state[kSinceFired] = (at::arange(objective.feature_count()) % 3 == 0).to(at::kLong) * 20'000'000;
  }
  Parameters parameters;
  ObjectiveState state;
  TrainingRows rows;
};

void ExpectPathsAgree(const TopKObjective& objective) {
  const Start start(objective);
  const TrainingContext context{2000, 1};
  const Evaluation expected = Differentiate(objective, start.parameters, start.state, start.rows, context);
  const Evaluation actual = objective.Evaluate(start.parameters, start.state, start.rows, context);
  EXPECT_NEAR(actual.loss, expected.loss, 1e-12 * std::abs(expected.loss));
  ASSERT_EQ(actual.terms.size(), expected.terms.size());
  for (const auto& [name, value] : expected.terms) EXPECT_NEAR(actual.terms.at(name), value, 1e-12 * std::abs(value));
  for (const auto& [name, parameter] : start.parameters) {
    const auto found = expected.gradients.find(name);
    ASSERT_TRUE(found != expected.gradients.end()) << name;
    EXPECT_GT(found->second.abs().max().item<double>(), 0) << name;
    ExpectClose(actual.gradients.at(name), found->second, 1e-12, 1e-12, "sae.train.autograd.f64");
  }
  EXPECT_GT(actual.figures.active_entries, 0);
  EXPECT_EQ(actual.figures.active_entries, expected.figures.active_entries);
  EXPECT_EQ(actual.figures.dead_feature_count, expected.figures.dead_feature_count);
  EXPECT_TRUE(at::equal(actual.next_state.at(kFireCount), expected.next_state.at(kFireCount)));
  EXPECT_TRUE(at::equal(actual.next_state.at(kSinceFired), expected.next_state.at(kSinceFired)));
  EXPECT_NEAR(actual.next_state.at(kInferenceThreshold).item<double>(),
              expected.next_state.at(kInferenceThreshold).item<double>(), 1e-14);
}

struct OptionsCase {
  std::string name;
  void (*change)(TopKOptions& options);
};
class TopKOptionsTest : public testing::TestWithParam<OptionsCase> {};

TEST_P(TopKOptionsTest, PathsAgree) {
  TopKOptions options = SmallOptions();
  GetParam().change(options);
  ExpectPathsAgree(TopKObjective(options));
}

INSTANTIATE_TEST_SUITE_P(
    Options, TopKOptionsTest,
    testing::Values(OptionsCase{"Defaults", [](TopKOptions&) {}},
                    OptionsCase{"NoAuxK", [](TopKOptions& o) { o.auxk.coefficient = 0; }},
                    OptionsCase{"FewAuxiliary", [](TopKOptions& o) { o.auxk.k = 2; }},
                    OptionsCase{"MoreAuxiliaryThanDead", [](TopKOptions& o) { o.auxk.k = 39; }},
                    OptionsCase{"NegativeAuxiliaryScores",
                                [](TopKOptions& o) {
                                  o.auxk.relu = false;
                                  o.selection.by_decoder_norm = true;
                                }},
                    OptionsCase{"MultiTopKTrainsTheEncoder", [](TopKOptions& o) { o.multi_topk_weight = 0.5; }},
                    OptionsCase{"MultiTopKOfMoreThanAllFeatures",
                                [](TopKOptions& o) {
                                  o.selection.k = 30;
                                  o.multi_topk_weight = 0.5;
                                }},
                    OptionsCase{"InputWithoutDecoderBias", [](TopKOptions& o) { o.apply_b_dec_to_input = false; }},
                    OptionsCase{"NoEncoderBias", [](TopKOptions& o) { o.has_encoder_bias = false; }},
                    OptionsCase{"TranscoderToAnotherWidth",
                                [](TopKOptions& o) {
                                  o.output_dim = 7;
                                  o.has_skip = true;
                                  o.scale = ErrorScale::kDeviation;
                                }},
                    OptionsCase{"FractionalBatch",
                                [](TopKOptions& o) {
                                  o.selection.over = TopKSelection::Over::kBatch;
                                  o.selection.k = 3.37;
                                }},
                    OptionsCase{"BatchWithUndetachedError",
                                [](TopKOptions& o) {
                                  o.selection.over = TopKSelection::Over::kBatch;
                                  o.auxk.detach_error = false;
                                  o.auxk.scale = ErrorScale::kElements;
                                }},
                    OptionsCase{"GroupsWithBiasOnBothSides",
                                [](TopKOptions& o) {
                                  o.selection.over = TopKSelection::Over::kGroups;
                                  o.auxk.bias = AuxKOptions::Bias::kBothSides;
                                }},
                    OptionsCase{"UnequalPrefixWeights",
                                [](TopKOptions& o) {
                                  o.prefixes.fixed = {{0, 3, 17, 40}, {0.25, 2, 0, 1}};
                                  o.auxk.detach_error = false;
                                  o.auxk.scale = ErrorScale::kRows;
                                }},
                    OptionsCase{"SampledPrefixes", [](TopKOptions& o) { o.prefixes.sampled_count = 6; }},
                    OptionsCase{"FiresAbove", [](TopKOptions& o) { o.fires_above = 0.5; }}),
    [](const auto& info) { return info.param.name; });

TEST(TopKObjective, RefusesOptionsOutOfRange) {
  const auto refused = [](void (*change)(TopKOptions&)) {
    TopKOptions options = SmallOptions();
    change(options);
    EXPECT_THROW(TopKObjective{options}, c10::ValueError);
  };
  EXPECT_NO_THROW(TopKObjective{SmallOptions()});
  refused([](TopKOptions& o) { o.input_dim = 0; });
  refused([](TopKOptions& o) { o.output_dim = -1; });
  refused([](TopKOptions& o) { o.feature_count = 0; });
  refused([](TopKOptions& o) { o.selection.k = 0; });
  refused([](TopKOptions& o) { o.selection.k = 41; });
  refused([](TopKOptions& o) { o.selection.k = 3.5; });
  refused([](TopKOptions& o) { o.selection.k = std::nan(""); });
  refused([](TopKOptions& o) {
    o.selection.over = TopKSelection::Over::kGroups;
    o.selection.k = 3;
  });
  refused([](TopKOptions& o) {
    o.selection.anneal_steps = 5;
    o.selection.anneal_from = 3;
  });
  refused([](TopKOptions& o) {
    o.selection.by_decoder_norm = true;
    o.output_dim = 5;
  });
  refused([](TopKOptions& o) { o.auxk.coefficient = std::nan(""); });
  refused([](TopKOptions& o) { o.auxk.k = -1; });
  refused([](TopKOptions& o) { o.dead.after = 0; });
  refused([](TopKOptions& o) { o.fires_above = -1; });
  refused([](TopKOptions& o) { o.threshold.decay = 1; });
  refused([](TopKOptions& o) { o.error_factor = std::numeric_limits<double>::infinity(); });
  refused([](TopKOptions& o) { o.prefixes.fixed = {{10, 39}, {1, 1}}; });
  refused([](TopKOptions& o) { o.prefixes.fixed = {{10, 10, 40}, {1, 1, 1}}; });
  refused([](TopKOptions& o) { o.prefixes.fixed = {{40}, {}}; });
  refused([](TopKOptions& o) { o.prefixes.sampled_count = 41; });
  refused([](TopKOptions& o) {
    o.multi_topk_weight = 1;
    o.selection.over = TopKSelection::Over::kBatch;
  });
}

TEST(TopKObjective, FeatureCountsAsFiredOnlyAboveItsBound) {
  TopKOptions options = SmallOptions();
  options.feature_count = 4;
  options.input_dim = 2;
  options.selection.k = 3;
  options.fires_above = 0.5;
  const TopKObjective objective(options);
  const Parameters p{{kEncoder, at::zeros({4, 2}, at::kDouble)},
                     {kEncoderBias, at::tensor({1., -1., 0., 0.25}, at::kDouble)},
                     {kDecoder, at::ones({4, 2}, at::kDouble)},
                     {kDecoderBias, at::zeros({2}, at::kDouble)}};
  ObjectiveState state = objective.InitialState();
  state[kSinceFired] = at::full({4}, 7, at::kLong);
  const at::Tensor x = at::ones({5, 2}, at::kDouble);
  const Evaluation evaluation = objective.Evaluate(p, state, {x, x}, {0, 1});
  EXPECT_TRUE(at::equal(evaluation.next_state.at(kSinceFired), at::tensor({0, 12, 12, 12}, at::kLong)));
  EXPECT_EQ(evaluation.figures.active_entries, 10);
}

// Selection over a batch turns into a threshold: where that is the smallest kept score, the same entries are active.
TEST(TopKObjective, ExportOfBatchSelectionIsActiveFromTheThresholdUp) {
  TopKOptions options = SmallOptions();
  options.selection.over = TopKSelection::Over::kBatch;
  options.selection.by_decoder_norm = true;
  options.threshold = {0.9, -1, false};
  const TopKObjective objective(options);
  const Start start(objective);
  const Evaluation evaluation = objective.Evaluate(start.parameters, start.state, start.rows, {0, 1});
  const double threshold = evaluation.next_state.at(kInferenceThreshold).item<double>();
  EXPECT_GT(threshold, 0);
  const auto active = [&](double bound) {
    const ObjectiveState state{{kInferenceThreshold, at::scalar_tensor(bound, at::kDouble)}};
    const auto dictionary = MakeDictionary(objective.Export(start.parameters, state), at::kDouble, at::kCPU);
    return (dictionary->Encode(start.rows.input) > 0).sum().item<double>();
  };
  EXPECT_EQ(active(threshold * (1 - 1e-9)), evaluation.figures.active_entries);
  EXPECT_EQ(active(threshold * (1 + 1e-9)), evaluation.figures.active_entries - 1);
}

TEST(TopKObjective, OfOpenAiStartsWithReconstructionsAsLongAsRows) {
  TopKOptions options = OpenAiTopKByBatch(kWidth, kFeatures).objective;
  options.selection.k = 4;
  const TopKObjective objective(options);
  const Parameters parameters = objective.Initialise(5);
  const at::Tensor rows = RandomTensors(9).Directions(2000, kWidth);
  const auto dictionary = MakeDictionary(objective.Export(parameters, objective.InitialState()), at::kDouble, at::kCPU);
  const at::Tensor norms = dictionary->Decode(dictionary->Encode(rows), rows).norm(2, 1);
  // The factor is from 256 rows: four standard deviations of their mean.
  EXPECT_NEAR(norms.mean().item<double>(), 1, 4 * norms.std().item<double>() / std::sqrt(256.0));
  const at::Tensor ratio = parameters.at(kDecoder) / parameters.at(kEncoder);
  EXPECT_TRUE(at::allclose(ratio, ratio[0][0].expand_as(ratio)));
  EXPECT_GT(std::abs(ratio[0][0].item<double>() - 1), 0.1);
}

TEST(InferenceThreshold, MeansOfRowMinimaSkipRowsWithoutEntries) {
  const SparseActivations active{at::tensor({0, 2, 2, 3}, at::kLong), at::tensor({1, 4, 0}, at::kInt),
                                 at::tensor({0.5, 0.25, 0.75}, at::kDouble), 5};
  EXPECT_DOUBLE_EQ(SmallestActive(active, true).value(), 0.5);
  EXPECT_DOUBLE_EQ(SmallestActive(active, false).value(), 0.25);
  const SparseActivations none{at::tensor({0, 0}, at::kLong), at::empty({0}, at::kInt), at::empty({0}, at::kDouble), 5};
  EXPECT_FALSE(SmallestActive(none, true).has_value());
  const ThresholdMean options{0.9, 3, false};
  EXPECT_EQ(NextThreshold(options, -1, 0.5, 3), -1);
  EXPECT_EQ(NextThreshold(options, -1, std::nullopt, 4), -1);
  EXPECT_EQ(NextThreshold(options, -1, 0.5, 4), 0.5);
  EXPECT_DOUBLE_EQ(NextThreshold(options, 0.5, 1.5, 5), 0.6);
}

TEST(Prefixes, OfDictionaryLearningLeaveTheRestToTheLastGroup) {
  const Prefixes prefixes = DictionaryLearningPrefixes({0.3, 0.3, 0.3}, 11);
  EXPECT_EQ(prefixes.widths, (std::vector<int64_t>{3, 6, 11}));
  for (const double weight : prefixes.weights) EXPECT_DOUBLE_EQ(weight, 1.0 / 9);
}

TEST(Prefixes, SampledOnesFollowTheTruncatedPareto) {
  PrefixOptions options;
  options.sampled_count = 2;
  options.sampled_least = 4;
  options.sampled_exponent = 0.5;
  constexpr int64_t kAll = 64, kSteps = 20'000, kBound = 16;
  int64_t below = 0;
  for (int64_t step = 0; step < kSteps; ++step) {
    const Prefixes prefixes = PrefixesAt(options, kAll, step);
    ASSERT_EQ(prefixes.widths.size(), 2u);
    EXPECT_EQ(prefixes.widths[1], kAll);
    EXPECT_GE(prefixes.widths[0], 4);
    EXPECT_LT(prefixes.widths[0], kAll);
    below += prefixes.widths[0] < kBound;
  }
  // (1 - sqrt(4 / 16)) / (1 - sqrt(4 / 64)) = 2 / 3, within four standard deviations.
  EXPECT_NEAR(static_cast<double>(below) / kSteps, 2.0 / 3, 4 * std::sqrt(2.0 / 9 / kSteps));
}

TEST(Prefixes, SampledOnesAreOfSeedAndStep) {
  PrefixOptions options;
  options.sampled_count = 10;
  const auto widths = [&](int64_t step) { return PrefixesAt(options, 10'000, step).widths; };
  const std::vector<int64_t> first = widths(3);
  EXPECT_EQ(first.size(), 10u);
  EXPECT_TRUE(std::is_sorted(first.begin(), first.end()));
  EXPECT_EQ(widths(3), first);
  EXPECT_NE(widths(4), first);
  options.sampled_seed = 1;
  EXPECT_NE(widths(3), first);
  options.sampled_count = 10;
  EXPECT_EQ(PrefixesAt(options, 10, 0).widths, (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
}

}  // namespace
}  // namespace lifescope
