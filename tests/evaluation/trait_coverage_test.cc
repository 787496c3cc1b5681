#include "server/evaluation/trait_coverage.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "server/corpus/random.h"
#include "server/evaluation/concept_coverage.h"
#include "tests/evaluation/tiny_corpus.h"
#include "tests/evaluation/token_dictionary.h"

namespace lifescope {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

const HookPoint kEmbedding{Site::kEmbedToken, -1};

TraitCoverageOptions Options(const HookPoint& point = kEmbedding) {
  TraitCoverageOptions options;
  options.match.hook_point = point;
  options.match.max_share = 1;
  options.bootstrap.resamples = 200;
  return options;
}

const Measurement& Figure(const TraitCoverage& coverage, const char* name) {
  const auto found = std::find_if(coverage.figures.begin(), coverage.figures.end(),
                                  [&](const Measurement& m) { return m.metric == name; });
  EXPECT_NE(found, coverage.figures.end()) << name;
  return *found;
}

constexpr int32_t kMarkers[] = {30, 60, 90};

// Persons whose six events are a marker each. The kind of an event is its marker's, or drawn for itself when shuffled;
// the sector is drawn in both cases.
std::vector<TinyPerson> MarkedPersons(bool is_shuffled) {
  Random random(17);
  std::vector<TinyPerson> persons;
  for (int64_t id = 1; id <= 120; ++id) {
    TinyPerson p;
    std::vector<std::vector<int32_t>> events;
    for (int event = 0; event < 6; ++event) {
      const int64_t marker = random.Below(3), drawn = random.Below(3);
      events.push_back({kMarkers[marker]});
      p.event_traits.push_back(static_cast<int8_t>(is_shuffled ? drawn : marker));
    }
    p.document = TinyLife(id, events);
    p.split = id % 2 == 0 ? Split::kValidation : Split::kTest;
    p.person_traits = {static_cast<int8_t>(random.Below(2))};
    persons.push_back(std::move(p));
  }
  return persons;
}

TraitCoverage CoverMarkers(bool is_shuffled, const TraitCoverageOptions& options = Options()) {
  const auto model = TinyModel(at::kFloat);
  const TokenDictionary dictionary(*model, {kMarkers[0], kMarkers[1], kMarkers[2]});
  return CoverTraits(*model, dictionary, *WriteCorpus(MarkedPersons(is_shuffled)), options);
}

// F1 of detectors that fire as often as those that were found, but on tokens of no concept in particular.
double Chance(const TraitCoverage& coverage) {
  double sum = 0;
  for (const TraitMatch& match : coverage.matches) {
    const double fired = match.recall * match.share / match.precision;
    sum += 2 * fired * match.share / (fired + match.share);
  }
  return sum / static_cast<double>(coverage.matches.size());
}

TEST(TraitCoverage, FindsPlantedTraits) {
  const TraitCoverage coverage = CoverMarkers(false);
  ASSERT_THAT(coverage.matches, SizeIs(5));
  std::map<std::string, TraitMatch> found;
  for (const TraitMatch& match : coverage.matches) found[match.trait + "=" + match.value] = match;
  for (int i = 0; i < 3; ++i) {
    // An event is its marker and a [SEP], on which no feature is on.
    const TraitMatch& match = found["event.kind=" + std::string(1, static_cast<char>('x' + i))];
    EXPECT_EQ(match.feature, i);
    EXPECT_EQ(match.precision, 1);
    EXPECT_NEAR(match.f1, 2.0 / 3, 1e-12);
  }
  const Measurement& own = Figure(coverage, kCoverageOwnThreshold);
  EXPECT_GT(own.low, Chance(coverage));
  EXPECT_LT(own.low, own.value);
  EXPECT_LT(own.value, own.high);
  EXPECT_EQ(coverage.test_person_count, 60);
  EXPECT_EQ(coverage.test_token_count, 60 * 6 * 2);
  EXPECT_EQ(coverage.l0, 0.5);
}

TEST(TraitCoverage, OfShuffledTraitsCoversChance) {
  const TraitCoverage coverage = CoverMarkers(true);
  const Measurement& own = Figure(coverage, kCoverageOwnThreshold);
  EXPECT_LT(own.low, Chance(coverage));
  EXPECT_GT(own.high, Chance(coverage));
  EXPECT_LT(Figure(coverage, kReconstruction).high, 0.05);
}

TEST(TraitCoverage, ReconstructsWhatItDetects) {
  TraitCoverageOptions options = Options();
  options.match.traits = {"event.kind"};
  const TraitCoverage coverage = CoverMarkers(false, options);
  ASSERT_THAT(coverage.matches, SizeIs(3));
  // Every marker is right, every [SEP] is missed; all persons alike.
  const Measurement& reconstruction = Figure(coverage, kReconstruction);
  EXPECT_NEAR(reconstruction.value, 2.0 / 3, 1e-12);
  EXPECT_NEAR(reconstruction.low, 2.0 / 3, 1e-12);
  EXPECT_NEAR(reconstruction.high, 2.0 / 3, 1e-12);
}

TEST(TraitCoverage, DrawsAreOfTheSamePersonsForEveryDictionary) {
  const auto model = TinyModel(at::kFloat);
  const auto corpus = WriteCorpus(MarkedPersons(false));
  const auto cover = [&](const std::vector<int32_t>& tokens, uint64_t seed) {
    TraitCoverageOptions options = Options();
    options.bootstrap.seed = seed;
    return CoverTraits(*model, TokenDictionary(*model, tokens), *corpus, options);
  };
  const TraitCoverage a = cover({kMarkers[0]}, 1), b = cover({kMarkers[1], kMarkers[2]}, 1),
                      c = cover({kMarkers[0]}, 2);
  EXPECT_EQ(a.draws.back(), b.draws.back());  // always on
  EXPECT_NE(a.draws.front(), b.draws.front());
  EXPECT_NE(a.draws.front(), c.draws.front());
  EXPECT_EQ(a.figures.front().value, c.figures.front().value);
}

TEST(TraitCoverage, WithoutResamplesOrConceptsHasNoIntervals) {
  TraitCoverageOptions options = Options();
  options.bootstrap.resamples = 0;
  EXPECT_TRUE(std::isnan(CoverMarkers(false, options).figures[0].low));
  options = Options();
  options.match.min_share = 0.99;
  const TraitCoverage none = CoverMarkers(false, options);
  EXPECT_THAT(none.matches, SizeIs(0));
  for (const Measurement& figure : none.figures) EXPECT_TRUE(std::isnan(figure.value));
}

TEST(TraitCoverage, ATraitWithoutAMatchHasNoneAndCountsAsZero) {
  std::vector<TinyPerson> persons = MarkedPersons(false);
  // On test persons the feature is on where kind z holds; on validation persons it never is.
  for (TinyPerson& p : persons) {
    if (p.split != Split::kValidation) continue;
    for (size_t i = 0; i < p.document.token.size(); ++i) {
      if (p.document.token[i] == kMarkers[2]) p.document.token[i] = kMarkers[2] + 1;
    }
  }
  const auto model = TinyModel(at::kFloat);
  TraitCoverageOptions options = Options();
  options.match.traits = {"event.kind"};
  const TraitCoverage coverage =
      CoverTraits(*model, TokenDictionary(*model, {kMarkers[0], kMarkers[2]}), *WriteCorpus(persons), options);
  ASSERT_THAT(coverage.matches, SizeIs(3));
  EXPECT_EQ(coverage.matches[0].feature, 0);
  for (const size_t unmatched : {1, 2}) {
    EXPECT_EQ(coverage.matches[unmatched].feature, kNoFeature);
    EXPECT_EQ(coverage.matches[unmatched].f1, 0);
    EXPECT_TRUE(std::isnan(coverage.matches[unmatched].threshold));
  }
  EXPECT_NEAR(Figure(coverage, kCoverageOwnThreshold).value, coverage.matches[0].f1 / 3, 1e-12);
  EXPECT_NEAR(Figure(coverage, kCoverageSharedThreshold).value, coverage.matches[0].f1 / 3, 1e-12);
}

TEST(TraitCoverage, CountsWhatItLeavesOut) {
  TraitCoverageOptions options = Options();
  options.match.min_share = 0.4;  // sectors hold of half the tokens, kinds of a third
  const TraitCoverage coverage = CoverMarkers(false, options);
  EXPECT_EQ(coverage.left_out_count, 3);
  ASSERT_THAT(coverage.matches, SizeIs(2));
  for (const TraitMatch& match : coverage.matches) EXPECT_EQ(match.trait, "person.sector");
}

TEST(TraitCoverage, OfOneTestPersonHasNoInterval) {
  std::vector<TinyPerson> persons = MarkedPersons(false);
  for (size_t i = 1; i < persons.size(); ++i) persons[i].split = Split::kValidation;
  const auto model = TinyModel(at::kFloat);
  const TraitCoverage coverage =
      CoverTraits(*model, TokenDictionary(*model, {kMarkers[0]}), *WriteCorpus(persons), Options());
  EXPECT_EQ(coverage.test_person_count, 1);
  EXPECT_TRUE(std::isnan(coverage.figures[0].low));
  EXPECT_THAT(coverage.figures[0].note, ::testing::HasSubstr("one person"));
}

TEST(TraitCoverage, IsOfTheTraitsAskedFor) {
  TraitCoverageOptions options = Options();
  options.match.traits = {"event.kind", "event.kind"};
  const TraitCoverage coverage = CoverMarkers(false, options);
  ASSERT_THAT(coverage.matches, SizeIs(3));
  for (const TraitMatch& match : coverage.matches) EXPECT_EQ(match.trait, "event.kind");
  EXPECT_NEAR(Figure(coverage, kCoverageOwnThreshold).value, 2.0 / 3, 1e-12);
  options.match.traits = {"event.kind", "event.colour"};
  EXPECT_THROW(CoverMarkers(false, options), c10::ValueError);
}

// Event tokens of a split, dense.
struct Tokens {
  at::Tensor features;  // [tokens, features]
  at::Tensor truth;     // BOOL [tokens, concepts]: sector a, b, kind x, y, z
};

constexpr int64_t kFeatures = 30, kConcepts = 5;

Tokens TokensOf(const Transformer& model, const Dictionary& dictionary, const std::vector<TinyPerson>& persons,
                Split split) {
  std::vector<at::Tensor> rows, truth;
  for (const TinyPerson& p : persons) {
    if (p.split != split) continue;
    const at::Tensor dense = DenseFeatures(model, dictionary, p.document, {Site::kResidPost, 1});
    for (int64_t row = 0; row < p.document.length(); ++row) {
      const int32_t event = p.document.event[static_cast<size_t>(row)];
      if (event == 0) continue;
      at::Tensor holds = at::zeros({kConcepts}, at::kBool);
      holds[p.person_traits[0]] = true;
      const int8_t kind = p.event_traits[static_cast<size_t>(event - 1)];
      if (kind >= 0) holds[2 + kind] = true;
      rows.push_back(dense[row]);
      truth.push_back(holds);
    }
  }
  return {at::stack(rows), at::stack(truth)};
}

double F1(const at::Tensor& on, const at::Tensor& truth) {
  const double both = on.sum().item<double>() + truth.sum().item<double>();
  return both == 0 ? 0 : 2 * (on & truth).sum().item<double>() / both;
}

TEST(TraitCoverage, SharedThresholdAndReconstructionEqualTheirDefinitions) {
  const auto model = TinyModel(at::kDouble);
  const ReluDictionary dictionary(64, kFeatures, at::kDouble, 4);
  const std::vector<TinyPerson> persons = RandomPersons();
  TraitCoverageOptions options = Options({Site::kResidPost, 1});
  options.detectors = {0.7, 3};
  const TraitCoverage coverage = CoverTraits(*model, dictionary, *WriteCorpus(persons), options);

  const Tokens validation = TokensOf(*model, dictionary, persons, Split::kValidation);
  const Tokens test = TokensOf(*model, dictionary, persons, Split::kTest);
  const at::Tensor maxima = std::get<0>(validation.features.max(0));
  const auto on_at = [&](const Tokens& tokens, int level) { return tokens.features > maxima * level / 10; };
  double best_mean = 0, shared = 0;
  at::Tensor highest = at::zeros_like(test.truth);
  at::Tensor highest_open = at::ones_like(test.features, at::kBool);  // features that have not detected anything yet
  double best_reconstruction = 0;
  for (int level = 9; level >= 0; --level) {
    const at::Tensor on = on_at(validation, level), on_test = on_at(test, level);
    double mean = 0, test_mean = 0;
    at::Tensor detects = at::zeros({kFeatures, kConcepts}, at::kBool);
    for (int64_t c = 0; c < kConcepts; ++c) {
      const at::Tensor truth = validation.truth.select(1, c);
      double best = 0;
      int64_t feature = 0;
      for (int64_t i = 0; i < kFeatures; ++i) {
        const at::Tensor column = on.select(1, i);
        const double f1 = F1(column, truth), hits = (column & truth).sum().item<double>();
        if (f1 > best) {
          best = f1;
          feature = i;
        }
        if (hits >= 3 && hits / column.sum().item<double>() >= 0.7) detects[i][c] = true;
      }
      mean += best / kConcepts;
      test_mean += F1(on_test.select(1, feature), test.truth.select(1, c)) / kConcepts;
    }
    if (mean >= best_mean) {
      best_mean = mean;
      shared = test_mean;
    }
    const auto predict = [&](const at::Tensor& active) {
      return active.to(at::kDouble).mm(detects.to(at::kDouble)) > 0;
    };
    best_reconstruction = std::max(best_reconstruction, F1(predict(on_test), test.truth));
    const at::Tensor useful = on_test & detects.any(1).unsqueeze(0) & highest_open;
    highest = highest | predict(useful);
    highest_open = highest_open & ~useful;
  }
  best_reconstruction = std::max(best_reconstruction, F1(highest, test.truth));
  EXPECT_NEAR(Figure(coverage, kCoverageSharedThreshold).value, shared, 1e-12);
  EXPECT_NEAR(Figure(coverage, kReconstruction).value, F1(highest, test.truth), 1e-12);
  EXPECT_NEAR(Figure(coverage, kReconstructionBest).value, best_reconstruction, 1e-12);
  EXPECT_GT(F1(highest, test.truth), 0.1);
  double own = 0, always = 0;
  for (const TraitMatch& match : coverage.matches) {
    own += match.f1 / kConcepts;
    always += 2 * match.share / (1 + match.share) / kConcepts;
  }
  EXPECT_NEAR(Figure(coverage, kCoverageOwnThreshold).value, own, 1e-12);
  EXPECT_NEAR(Figure(coverage, kAlwaysOn).value, always, 1e-12);
  EXPECT_NEAR(coverage.l0, (test.features != 0).sum(1).to(at::kDouble).mean().item<double>(), 1e-12);
}

TEST(BootstrapSums, AreOfPersonsDrawnWithReplacement) {
  const at::Tensor per_person = at::tensor({1.0, 1.0, 2.0, 1.0, 3.0, 1.0}, at::kDouble).view({3, 2});
  BootstrapOptions options;
  options.resamples = 4000;
  const at::Tensor sums = BootstrapSums(per_person, options);
  EXPECT_THAT(sums.sizes(), ElementsAre(4000, 2));
  EXPECT_TRUE(at::equal(sums.select(1, 1), at::full({4000}, 3.0, at::kDouble)));
  EXPECT_NEAR(sums.select(1, 0).mean().item<double>(), 6, 0.1);
  EXPECT_NEAR(sums.select(1, 0).var().item<double>(), 2, 0.2);
  EXPECT_THROW(BootstrapSums(per_person.narrow(0, 0, 0), options), c10::ValueError);
  options.resamples = 0;
  EXPECT_THROW(BootstrapSums(per_person, options), c10::ValueError);
}

TEST(Quantile, IsLinearBetweenOrderStatistics) {
  EXPECT_EQ(Quantile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(Quantile({3, 1}, 0.25), 1.5);
  EXPECT_TRUE(std::isnan(Quantile({}, 0.5)));
}

}  // namespace
}  // namespace lifescope
