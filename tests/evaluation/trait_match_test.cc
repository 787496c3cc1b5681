#include "server/evaluation/trait_match.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "server/corpus/label_build.h"
#include "server/intervention/engine.h"
#include "tests/evaluation/tiny_corpus.h"
#include "tests/evaluation/token_dictionary.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kFeatures = 30;

TraitMatchOptions Options(const HookPoint& point = {Site::kResidPost, 1}) {
  TraitMatchOptions options;
  options.hook_point = point;
  options.max_share = 1;
  return options;
}

// Features and truth of every event token of a split.
struct Tokens {
  at::Tensor features;  // [tokens, features]
  at::Tensor truth;     // BOOL [tokens]
};

using Truth = std::function<bool(const TinyPerson& person, int32_t event)>;

Tokens TokensOf(const Transformer& model, const Dictionary& dictionary, const std::vector<TinyPerson>& persons,
                Split split, const Truth& truth) {
  std::vector<at::Tensor> rows;
  std::vector<int64_t> holds;
  for (const TinyPerson& p : persons) {
    if (p.split != split) continue;
    const at::Tensor dense = DenseFeatures(model, dictionary, p.document, Options().hook_point);
    for (int64_t row = 0; row < p.document.length(); ++row) {
      const int32_t event = p.document.event[static_cast<size_t>(row)];
      if (event == 0) continue;
      rows.push_back(dense[row]);
      holds.push_back(truth(p, event));
    }
  }
  return {at::stack(rows), at::tensor(holds, at::kLong).to(at::kBool)};
}

double F1(const at::Tensor& on, const at::Tensor& truth) {
  const double hits = (on & truth).sum().item<double>();
  const double both = on.sum().item<double>() + truth.sum().item<double>();
  return both == 0 ? 0 : 2 * hits / both;
}

// The definition: the best (feature, threshold) on validation, measured on test.
TraitMatch ByDefinition(const Tokens& validation, const Tokens& test) {
  TraitMatch match;
  double best = 0;
  for (int64_t feature = 0; feature < kFeatures; ++feature) {
    const at::Tensor f = validation.features.select(1, feature);
    for (int level = 9; level >= 0; --level) {
      const double threshold = f.max().item<double>() * level / 10;
      const double f1 = F1(f > threshold, validation.truth);
      if (f1 <= best) continue;
      best = f1;
      match.feature = feature;
      match.threshold = threshold;
    }
  }
  const at::Tensor on = test.features.select(1, match.feature) > match.threshold;
  const double hits = (on & test.truth).sum().item<double>();
  match.f1 = F1(on, test.truth);
  match.precision = hits / std::max(1.0, on.sum().item<double>());
  match.recall = hits / std::max(1.0, test.truth.sum().item<double>());
  match.share = test.truth.to(at::kDouble).mean().item<double>();
  return match;
}

TEST(MatchTraits, EqualsItsDefinition) {
  const auto model = TinyModel(at::kDouble);
  const ReluDictionary dictionary(64, kFeatures, at::kDouble, 4);
  const std::vector<TinyPerson> persons = RandomPersons();
  const std::vector<TraitMatch> matches = MatchTraits(*model, dictionary, *WriteCorpus(persons), Options());
  ASSERT_THAT(matches, SizeIs(5));
  for (const TraitMatch& match : matches) {
    SCOPED_TRACE(match.trait + " " + match.value);
    const Truth truth = [&](const TinyPerson& p, int32_t event) {
      if (match.trait == "person.sector") return p.person_traits[0] == match.value[0] - 'a';
      return p.event_traits[static_cast<size_t>(event - 1)] == match.value[0] - 'x';
    };
    const TraitMatch expected = ByDefinition(TokensOf(*model, dictionary, persons, Split::kValidation, truth),
                                             TokensOf(*model, dictionary, persons, Split::kTest, truth));
    EXPECT_EQ(match.feature, expected.feature);
    EXPECT_NEAR(match.threshold, expected.threshold, 1e-9);
    EXPECT_NEAR(match.f1, expected.f1, 1e-12);
    EXPECT_NEAR(match.precision, expected.precision, 1e-12);
    EXPECT_NEAR(match.recall, expected.recall, 1e-12);
    EXPECT_NEAR(match.share, expected.share, 1e-12);
  }
  for (size_t i = 1; i < matches.size(); ++i) EXPECT_LE(matches[i].f1, matches[i - 1].f1);
}

std::shared_ptr<const LabelTable> Labels(const Corpus& corpus, const std::vector<LabelColumnDescription>& columns) {
  const std::string folder = TemporaryFolder() + "/labels";
  BuildLabelTable(folder, corpus, columns);
  return LabelTable::Open(folder, corpus);
}

TEST(MatchTraits, LabelsOfTheTraitsMatchAsTheTraitsDo) {
  const auto model = TinyModel(at::kDouble);
  const ReluDictionary dictionary(64, kFeatures, at::kDouble, 4);
  const auto corpus = WriteCorpus(RandomPersons());
  TraitMatchOptions options = Options();
  const std::vector<TraitMatch> expected = MatchTraits(*model, dictionary, *corpus, options);
  options.labels = Labels(*corpus, {{"person.sector", PersonTraitLabel{"sector"}, ""},
                                    {"number", EventNumberLabel{}, ""},
                                    {"event.kind", EventTraitLabel{"kind"}, ""}});
  const std::vector<TraitMatch> found = MatchTraits(*model, dictionary, *corpus, options);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].trait, expected[i].trait);
    EXPECT_EQ(found[i].value, expected[i].value);
    EXPECT_EQ(found[i].feature, expected[i].feature);
    EXPECT_EQ(found[i].f1, expected[i].f1);
    EXPECT_EQ(found[i].share, expected[i].share);
  }
}

TEST(MatchTraits, ALabelOfTokensHoldsOfItsTokensAlone) {
  const auto model = TinyModel(at::kDouble);
  const ReluDictionary dictionary(64, kFeatures, at::kDouble, 4);
  const std::vector<TinyPerson> persons = RandomPersons();
  const auto corpus = WriteCorpus(persons);
  LabelCondition separator;
  separator.kind = LabelCondition::Kind::kHas;
  separator.names = {"[SEP]"};
  TraitMatchOptions options = Options();
  options.labels = Labels(*corpus, {{"separator", TokenLabel{separator}, ""}});
  double separators = 0, tokens = 0;
  for (const TinyPerson& p : persons) {
    if (p.split != Split::kTest) continue;
    separators += p.document.event_count();
    tokens += static_cast<double>(
        std::count_if(p.document.event.begin(), p.document.event.end(), [](int32_t event) { return event > 0; }));
  }
  for (const TraitMatch& match : MatchTraits(*model, dictionary, *corpus, options)) {
    const double share = separators / tokens;
    EXPECT_DOUBLE_EQ(match.share, match.value == "true" ? share : 1 - share);
  }
  const auto other = WriteCorpus(persons, /*with_traits=*/false);
  EXPECT_THROW(MatchTraits(*model, dictionary, *other, options), c10::ValueError);
}

constexpr int32_t kMarker = 30, kOther = 60, kPlain = 90;

// A person whose events of kind x consist of `marker`, and all others of kPlain.
TinyPerson Marked(int64_t id, Split split, int32_t marker) {
  TinyPerson p;
  p.document = TinyLife(id, {{marker}, {kPlain}, {marker}, {kPlain}, {kPlain}});
  p.split = split;
  p.person_traits = {0};
  p.event_traits = {0, 1, 0, -1, 1};
  return p;
}

const TraitMatch& Find(const std::vector<TraitMatch>& matches, const std::string& trait, const std::string& value) {
  static const TraitMatch none;
  for (const TraitMatch& match : matches) {
    if (match.trait == trait && match.value == value) return match;
  }
  ADD_FAILURE() << trait << " " << value << " has no match";
  return none;
}

TEST(MatchTraits, FindsThePlantedFeature) {
  const auto model = TinyModel(at::kFloat);
  const TokenDictionary dictionary(*model, {kOther, kMarker, kPlain});
  const auto corpus = WriteCorpus({Marked(1, Split::kValidation, kMarker), Marked(2, Split::kTest, kMarker)});
  const TraitMatch match =
      Find(MatchTraits(*model, dictionary, *corpus, Options({Site::kEmbedToken, -1})), "event.kind", "x");
  EXPECT_EQ(match.feature, 1);
  // Every event is its token and a [SEP], on which the feature is off.
  EXPECT_EQ(match.precision, 1);
  EXPECT_EQ(match.recall, 0.5);
  EXPECT_NEAR(match.f1, 2.0 / 3, 1e-12);
  EXPECT_NEAR(match.share, 0.4, 1e-12);
  EXPECT_NEAR(match.threshold, 0.9, 1e-12);
}

TEST(MatchTraits, FeatureIsOnAboveTheThresholdOnly) {
  const auto model = TinyModel(at::kDouble);
  // Feature 0 is on at [SEP]; feature 1 is 1 on the marker and just 0.9 of it elsewhere.
  const at::Tensor values = at::tensor({0.0, 1.0, 0.0, 0.9, 1.0, 0.0}, at::kDouble).view({3, 2});
  const TokenDictionary dictionary(*model, {kMarker, kPlain, kSep}, values);
  const auto corpus = WriteCorpus({Marked(1, Split::kValidation, kMarker), Marked(2, Split::kTest, kMarker)});
  const TraitMatch match =
      Find(MatchTraits(*model, dictionary, *corpus, Options({Site::kEmbedToken, -1})), "event.kind", "x");
  EXPECT_EQ(match.feature, 1);
  EXPECT_EQ(match.threshold, 0.9);
  EXPECT_EQ(match.precision, 1);
  EXPECT_EQ(match.recall, 0.5);
}

TEST(MatchTraits, ChoosesOnValidationAndMeasuresOnTest) {
  const auto model = TinyModel(at::kFloat);
  const TokenDictionary dictionary(*model, {kOther, kMarker, kPlain});
  const auto corpus = WriteCorpus(
      {Marked(1, Split::kValidation, kMarker), Marked(2, Split::kTest, kOther), Marked(3, Split::kTrain, kOther)});
  const TraitMatch match =
      Find(MatchTraits(*model, dictionary, *corpus, Options({Site::kEmbedToken, -1})), "event.kind", "x");
  EXPECT_EQ(match.feature, 1);
  EXPECT_EQ(match.f1, 0);
  EXPECT_EQ(match.precision, 0);
  EXPECT_NEAR(match.share, 0.4, 1e-12);
}

TEST(MatchTraits, LeavesOutTraitsThatAreTooRareOrTooCommon) {
  const auto model = TinyModel(at::kFloat);
  const TokenDictionary dictionary(*model, {kOther, kMarker, kPlain});
  const auto corpus = WriteCorpus({Marked(1, Split::kValidation, kMarker), Marked(2, Split::kTest, kMarker)});
  const auto names = [&](double min_share, double max_share) {
    TraitMatchOptions options = Options({Site::kEmbedToken, -1});
    options.min_share = min_share;
    options.max_share = max_share;
    std::vector<std::string> values;
    for (const TraitMatch& match : MatchTraits(*model, dictionary, *corpus, options)) {
      values.push_back(match.trait + "=" + match.value);
    }
    std::sort(values.begin(), values.end());
    return values;
  };
  // Shares: sector a 1, sector b 0, kind x 0.4, kind y 0.4, kind z 0.
  EXPECT_THAT(names(0.005, 0.5), ElementsAre("event.kind=x", "event.kind=y"));
  EXPECT_THAT(names(0.005, 1), ElementsAre("event.kind=x", "event.kind=y", "person.sector=a"));
  EXPECT_THAT(names(0, 0.1), ElementsAre("event.kind=z", "person.sector=b"));
  EXPECT_THAT(names(0.41, 0.9), IsEmpty());
}

TEST(MatchTraits, RefusesACorpusWithoutTraitsOrSplits) {
  const auto model = TinyModel(at::kFloat);
  const ReluDictionary dictionary(64, 4, at::kFloat, 1);
  EXPECT_THROW(MatchTraits(*model, dictionary, *WriteCorpus(RandomPersons(), false), Options()), c10::ValueError);
  std::vector<TinyPerson> no_test = RandomPersons();
  for (TinyPerson& p : no_test) {
    if (p.split == Split::kTest) p.split = Split::kTrain;
  }
  EXPECT_THROW(MatchTraits(*model, dictionary, *WriteCorpus(no_test), Options()), c10::ValueError);
}

TEST(MatchTraits, ProgressCountsBothValidationPassesAndMayStop) {
  const auto model = TinyModel(at::kFloat);
  const ReluDictionary dictionary(64, 4, at::kFloat, 1);
  const auto corpus = WriteCorpus(RandomPersons());
  TraitMatchOptions options = Options();
  options.batch_tokens = 1;
  std::vector<int64_t> seen;
  MatchTraits(*model, dictionary, *corpus, options, [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 5 + 5 + 4);
    seen.push_back(done);
    return true;
  });
  ASSERT_THAT(seen, SizeIs(14));
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], static_cast<int64_t>(i) + 1);
  EXPECT_THROW(MatchTraits(*model, dictionary, *corpus, options, [](int64_t, int64_t) { return false; }), Cancelled);
}

}  // namespace
}  // namespace lifescope
