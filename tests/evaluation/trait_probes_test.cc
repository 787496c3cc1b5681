#include "server/evaluation/trait_probes.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "server/corpus/random.h"
#include "server/dictionary/sparse_rows.h"
#include "server/evaluation/code_groups.h"
#include "server/evaluation/hierarchy_absorption.h"
#include "tests/evaluation/tiny_corpus.h"
#include "tests/evaluation/token_dictionary.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::SizeIs;

const HookPoint kEmbedding{Site::kEmbedToken, -1};

// Occupations of the struct_small vocabulary: OCC_0 is token 142, OCC_54 token 196.
constexpr int32_t kOcc = 142, kOccCount = 55;

// Persons with ten events of a random occupation each. The kind of an event is the first digit of 1 .. 3, if it is one.
std::vector<TinyPerson> Workers() {
  Random random(23);
  std::vector<TinyPerson> persons;
  for (int64_t id = 1; id <= 90; ++id) {
    TinyPerson p;
    std::vector<std::vector<int32_t>> events;
    for (int event = 0; event < 10; ++event) {
      const auto code = static_cast<int32_t>(random.Below(kOccCount));
      events.push_back({kOcc + code});
      const int32_t digit = code < 10 ? code : code / 10;
      p.event_traits.push_back(static_cast<int8_t>(1 <= digit && digit <= 3 ? digit - 1 : -1));
    }
    p.document = TinyLife(id, events);
    p.split = static_cast<Split>(id % 3);
    p.person_traits = {static_cast<int8_t>(random.Below(2))};
    persons.push_back(std::move(p));
  }
  return persons;
}

// Feature 0 is on for the tokens of OCC_1.. but OCC_13, which feature 1 is for; 2 is on for all others of the field.
class OccupationDictionary : public TokenDictionary {
 public:
  explicit OccupationDictionary(const Transformer& model) : TokenDictionary(model, Tokens(), Values()) {
    const at::Tensor rows = embedding();
    const at::Tensor group = Values().select(1, 0) + Values().select(1, 1) > 0;
    w_dec = at::zeros_like(w_dec);
    w_dec.select(0, 0).copy_(rows.index_select(0, group.nonzero().squeeze(1)).mean(0) - rows.mean(0));
    w_dec.select(0, 1).copy_(rows[13]);
    w_dec.select(0, 2).copy_(-w_dec[0]);
  }

 private:
  static std::vector<int32_t> Tokens() {
    std::vector<int32_t> tokens;
    for (int32_t code = 0; code < kOccCount; ++code) tokens.push_back(kOcc + code);
    return tokens;
  }
  static at::Tensor Values() {
    at::Tensor values = at::zeros({kOccCount, 3}, at::kDouble);
    for (int32_t code = 0; code < kOccCount; ++code) {
      const bool is_group = code == 1 || (10 <= code && code < 20);
      values[code][is_group ? (code == 13 ? 1 : 0) : 2] = 10;
    }
    return values;
  }
};

TEST(CodeGroups, ShareTheBeginningOfTheirCodes) {
  const Vocabulary vocabulary = Vocabulary::Load(GoldenPath("life2vec/struct_small/vocab.tsv"));
  EXPECT_THAT(TokensOfField(vocabulary, "OCC_"), SizeIs(kOccCount));
  const std::vector<CodeGroup> groups = GroupCodes(vocabulary, "OCC_", 1);
  ASSERT_THAT(groups, SizeIs(5));  // OCC_0 and OCC_6 to OCC_9 are alone
  EXPECT_EQ(groups[0].name, "OCC_1");
  EXPECT_THAT(groups[0].tokens, SizeIs(11));
  EXPECT_EQ(groups[0].tokens[0], kOcc + 1);
  EXPECT_EQ(groups[4].name, "OCC_5");
  EXPECT_THAT(groups[4].tokens, SizeIs(6));
  EXPECT_THAT(GroupCodes(vocabulary, "OCC_", 2), SizeIs(0));
}

class HierarchyAbsorptionTest : public testing::Test {
 protected:
  HierarchyAbsorption Measure() const {
    return MeasureHierarchyAbsorption(*model_, OccupationDictionary(*model_), *corpus_, options_);
  }
  HierarchyAbsorptionTest() {
    options_.scan.hook_point = kEmbedding;
    options_.field = "OCC_";
    options_.min_rows = 10;
    options_.bootstrap.resamples = 100;
    options_.split_gain = 0.2;
  }
  const std::shared_ptr<const Transformer> model_ = TinyModel(at::kDouble);
  const std::shared_ptr<const Corpus> corpus_ = WriteCorpus(Workers());
  HierarchyAbsorptionOptions options_;
};

TEST_F(HierarchyAbsorptionTest, FindsTheAbsorbedCode) {
  const HierarchyAbsorption found = Measure();
  ASSERT_THAT(found.groups, SizeIs(5));
  const GroupAbsorption& group = found.groups[0];
  EXPECT_EQ(group.group, "OCC_1");
  EXPECT_EQ(group.code_count, 11);
  EXPECT_GT(group.probe_f1, 0.9);
  EXPECT_THAT(group.main_features, ElementsAre(0));
  // OCC_13 is one of eleven codes, all equally frequent.
  EXPECT_GT(group.full_rate, 0.02);
  EXPECT_LT(group.full_rate, 0.25);
  EXPECT_GE(group.mean_fraction, group.full_rate);
  EXPECT_LE(found.full_rate.low, found.full_rate.value);
  EXPECT_LE(found.full_rate.value, found.full_rate.high);
  EXPECT_LT(found.full_rate.low, found.full_rate.high);
}

TEST_F(HierarchyAbsorptionTest, CountsOnlyTheAbsorbedCode) {
  const HierarchyAbsorption found = Measure();
  int64_t absorbed = 0, all = 0;
  for (const TinyPerson& p : Workers()) {
    if (p.split != Split::kTest) continue;
    for (const int32_t token : p.document.token) {
      absorbed += token == kOcc + 13;
      all += token == kOcc + 1 || (kOcc + 10 <= token && token < kOcc + 20);
    }
  }
  // Of the rows that the probe gets right.
  const double rows = static_cast<double>(found.groups[0].row_count);
  EXPECT_GT(rows, 0.8 * static_cast<double>(all));
  EXPECT_LE(found.groups[0].row_count, all);
  EXPECT_NEAR(found.groups[0].full_rate * rows, static_cast<double>(absorbed), 1e-9);
}

TEST_F(HierarchyAbsorptionTest, ASplitGroupIsNotAbsorbed) {
  options_.split_gain = 0.01;
  const HierarchyAbsorption found = Measure();
  EXPECT_THAT(found.groups[0].main_features, SizeIs(Ge(2U)));
  EXPECT_EQ(found.groups[0].full_rate, 0);
}

TEST_F(HierarchyAbsorptionTest, RefusesAFieldWithoutGroups) {
  options_.field = "DIAG_";
  EXPECT_THROW(Measure(), c10::ValueError);
  options_.field = "OCC_";
  options_.min_rows = 10000;
  EXPECT_THROW(Measure(), c10::ValueError);
}

TEST(TraitProbes, ReadPlantedTraitsAndNotOthers) {
  const auto model = TinyModel(at::kDouble);
  TraitProbeOptions options;
  options.match.hook_point = kEmbedding;
  options.match.max_share = 0.9;
  options.k = {1, 2};
  const TraitProbes found = ProbeTraits(*model, OccupationDictionary(*model), *WriteCorpus(Workers()), options);
  ASSERT_THAT(found.probes, SizeIs(5));
  for (const TraitProbe& probe : found.probes) {
    SCOPED_TRACE(probe.trait + " " + probe.value);
    ASSERT_THAT(probe.sparse, SizeIs(2));
    EXPECT_LE(probe.loss.loss, probe.loss.constant_loss);
    if (probe.trait == "person.sector") {
      EXPECT_GT(probe.loss.loss, 0.97 * probe.loss.constant_loss);
      // It always says the class that was more frequent among the persons who fit.
      const double accuracy = probe.sparse[0].test_accuracy;
      EXPECT_LT(std::min(std::abs(accuracy - probe.share), std::abs(accuracy - 1 + probe.share)), 0.12);
    }
    if (probe.value == "x") {
      // Kind x is OCC_1.. on both tokens of the event, marker and [SEP]; the features know the marker.
      EXPECT_EQ(probe.loss.feature, 0);
      EXPECT_LT(probe.loss.loss, 0.8 * probe.loss.constant_loss);
      EXPECT_THAT(probe.sparse[1].features, testing::Contains(0));
    }
  }
  ASSERT_THAT(found.rules.rules, SizeIs(Ge(2U)));
  const RuleScore& rule = found.rules.rules[0];
  EXPECT_EQ(rule.feature, 0);
  EXPECT_EQ(found.probes[rule.concept_index].value, "x");
  EXPECT_GT(rule.correlation.value, 0.5);
  EXPECT_GT(rule.detection.value, 0.95);  // by event; feature 0 misses OCC_13
  EXPECT_GT(rule.detection.value, rule.fuzzing.value);
}

TEST(TraitProbes, FiguresAndMeansHaveIntervalsOverPersons) {
  const auto model = TinyModel(at::kDouble);
  TraitProbeOptions options;
  options.match.hook_point = kEmbedding;
  options.match.max_share = 0.9;
  options.k = {1, 2};
  options.bootstrap.resamples = 100;
  const TraitProbes found = ProbeTraits(*model, OccupationDictionary(*model), *WriteCorpus(Workers()), options);
  std::vector<double> sums(4, 0);
  for (const TraitProbe& probe : found.probes) {
    ASSERT_THAT(probe.figures, SizeIs(4));
    EXPECT_EQ(probe.figures[1].value, probe.sparse[0].test_accuracy);
    EXPECT_EQ(probe.figures[2].value, probe.sparse[1].test_accuracy);
    for (size_t i = 0; i < sums.size(); ++i) {
      const Measurement& figure = probe.figures[i];
      EXPECT_LT(figure.low, figure.value) << figure.metric;
      EXPECT_LT(figure.value, figure.high) << figure.metric;
      sums[i] += figure.value;
    }
  }
  ASSERT_THAT(found.means, SizeIs(5));
  EXPECT_TRUE(std::isnan(found.means[0].low)) << "chosen and measured on the same rows";
  for (size_t i = 0; i < sums.size(); ++i) {
    EXPECT_NEAR(found.means[i + 1].value, sums[i] / 5, 1e-12);
    EXPECT_LT(found.means[i + 1].low, found.means[i + 1].high);
  }
  for (const Measurement& mean : found.rules.means) {
    EXPECT_LE(mean.low, mean.value) << mean.metric;
    EXPECT_LE(mean.value, mean.high) << mean.metric;
  }
}

TEST(TraitProbes, OfOneTestPersonHaveNoInterval) {
  std::vector<TinyPerson> persons = Workers();
  bool is_first = true;
  for (TinyPerson& p : persons) {
    if (p.split != Split::kTest) continue;
    if (!is_first) p.split = Split::kTrain;
    is_first = false;
  }
  const auto model = TinyModel(at::kDouble);
  TraitProbeOptions options;
  options.match.hook_point = kEmbedding;
  options.k = {1};
  const TraitProbes found = ProbeTraits(*model, OccupationDictionary(*model), *WriteCorpus(persons), options);
  ASSERT_FALSE(found.probes.empty());
  for (const Measurement& mean : found.means) EXPECT_TRUE(std::isnan(mean.low)) << mean.metric;
  EXPECT_THAT(found.means[1].note, testing::HasSubstr("one person"));
}

TEST(RuleScores, AreThoseOfTheirDefinition) {
  const at::Tensor activations = at::tensor({1.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 3.0}, at::kDouble).view({8, 1});
  const at::Tensor holds =
      at::tensor({1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 1}, at::kLong).to(at::kBool).view({8, 2});
  const RuleRows rows{KeepNonZero(activations), ToHeldConcepts(holds), {0, 2, 4, 6, 8}, {0, 4, 8}};
  const RuleScores found = ScoreRules(rows, rows, {}, 1);
  const std::vector<RuleScore>& scores = found.rules;
  ASSERT_THAT(scores, SizeIs(1));
  // Concept 0 holds of rows 0, 1, 2 and 6; concept 1 of 3, 4, 7.
  const at::Tensor first = holds.select(1, 0).to(at::kDouble), second = holds.select(1, 1).to(at::kDouble);
  const auto correlation = [&](const at::Tensor& rule) {
    const at::Tensor a = activations.select(1, 0) - activations.mean(), r = rule - rule.mean();
    return (a * r).sum().item<double>() / std::sqrt((a * a).sum().item<double>() * (r * r).sum().item<double>());
  };
  const bool is_first = correlation(first) > correlation(second);
  EXPECT_EQ(scores[0].concept_index, is_first ? 0 : 1);
  EXPECT_NEAR(scores[0].correlation.value, std::max(correlation(first), correlation(second)), 1e-12);
  const at::Tensor rule = is_first ? holds.select(1, 0) : holds.select(1, 1);
  const at::Tensor active = activations.select(1, 0) > 0;
  const auto accuracy = [](const at::Tensor& truth, const at::Tensor& says) {
    const double hit = (truth & says).sum().item<double>() / truth.sum().item<double>();
    const double rest = (~truth & ~says).sum().item<double>() / (~truth).sum().item<double>();
    return (hit + rest) / 2;
  };
  EXPECT_NEAR(scores[0].fuzzing.value, accuracy(active, rule), 1e-12);
  EXPECT_NEAR(scores[0].detection.value, accuracy(active.view({4, 2}).any(1), rule.view({4, 2}).any(1)), 1e-12);
  ASSERT_THAT(found.means, SizeIs(3));
  EXPECT_EQ(found.means[0].value, scores[0].correlation.value);
  // Draws of the two persons: each alone, or both.
  EXPECT_LE(scores[0].fuzzing.low, scores[0].fuzzing.value);
  EXPECT_GE(scores[0].fuzzing.high, scores[0].fuzzing.value);
  EXPECT_THAT(ScoreRules(rows, rows, {}, 5).rules, SizeIs(0));
  EXPECT_THROW(ScoreRules({rows.codes, rows.concepts, {0, 7}, {0, 8}}, rows), c10::ValueError);
  EXPECT_THROW(ScoreRules(rows, {rows.codes, rows.concepts, {0, 8}, {0, 7}}), c10::ValueError);
}

TEST(RuleScores, OfAFeatureOnInEveryContextDetectNothing) {
  const at::Tensor activations = at::tensor({1.0, 0.0, 2.0, 0.0}, at::kDouble).view({4, 1});
  const at::Tensor holds = at::tensor({1, 0, 0, 0}, at::kLong).to(at::kBool).view({4, 1});
  const RuleRows rows{KeepNonZero(activations), ToHeldConcepts(holds), {0, 2, 4}, {0, 2, 4}};
  const RuleScores found = ScoreRules(rows, rows, {}, 1);
  ASSERT_THAT(found.rules, SizeIs(1));
  EXPECT_EQ(found.rules[0].fuzzing.value, 0.75);
  EXPECT_TRUE(std::isnan(found.rules[0].detection.value));
  EXPECT_THAT(found.rules[0].detection.note, testing::HasSubstr("all contexts"));
  EXPECT_TRUE(std::isnan(found.means[2].value)) << "no rule has one";
}

}  // namespace
}  // namespace lifescope
