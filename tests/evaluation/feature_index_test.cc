#include "server/evaluation/feature_index.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "server/intervention/engine.h"
#include "tests/evaluation/tiny_corpus.h"

namespace lifescope {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr int64_t kFeatures = 40;
const HookPoint kPoint{Site::kResidPost, 1};

FeatureIndexOptions Options(int64_t batch_tokens = 16384) {
  FeatureIndexOptions options;
  options.hook_point = kPoint;
  options.examples_per_feature = 4;
  options.batch_tokens = batch_tokens;
  return options;
}

// A dictionary whose every feature is `value` everywhere.
ReluDictionary Constant(double value, int64_t features = 2) {
  ReluDictionary dictionary(64, features, at::kFloat, 1);
  dictionary.w_enc.zero_();
  dictionary.b_enc.fill_(value);
  return dictionary;
}

// The definition, over dense features.
FeatureStatistics ByDefinition(const std::vector<TinyPerson>& persons, const std::vector<at::Tensor>& dense,
                               int64_t feature, const FeatureIndexOptions& options) {
  FeatureStatistics s;
  s.histogram.assign(static_cast<size_t>(options.histogram_bins), 0);
  for (size_t p = 0; p < persons.size(); ++p) {
    const at::Tensor f = dense[p].select(1, feature).to(at::kFloat).contiguous();
    ExampleRef best{persons[p].document.person_id, 0, 0};
    for (int32_t position = 0; position < f.size(0); ++position) {
      const float value = f.data_ptr<float>()[position];
      if (value <= 0) continue;
      ++s.active_token_count;
      s.activation_sum += value;
      int64_t bin = 0;
      while (bin + 1 < options.histogram_bins && value > HistogramEdge(bin, options.histogram_bins)) ++bin;
      ++s.histogram[static_cast<size_t>(bin)];
      if (value > best.activation) best = {best.person_id, position, value};
    }
    if (best.activation == 0) continue;
    ++s.active_person_count;
    s.examples.push_back(best);
  }
  std::stable_sort(s.examples.begin(), s.examples.end(),
                   [](const ExampleRef& a, const ExampleRef& b) { return a.activation > b.activation; });
  if (!s.examples.empty()) s.max_activation = s.examples.front().activation;
  if (static_cast<int64_t>(s.examples.size()) > options.examples_per_feature) {
    s.examples.resize(static_cast<size_t>(options.examples_per_feature));
  }
  return s;
}

void ExpectSameExamples(const std::vector<ExampleRef>& actual, const std::vector<ExampleRef>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].person_id, expected[i].person_id) << i;
    EXPECT_EQ(actual[i].position, expected[i].position) << i;
    EXPECT_NEAR(actual[i].activation, expected[i].activation, 1e-6) << i;
  }
}

// In float64, so that rounding decides no order and no threshold.
TEST(FeatureIndex, EqualsItsDefinition) {
  const auto model = TinyModel(at::kDouble);
  const ReluDictionary dictionary(64, kFeatures, at::kDouble, 9);
  const std::vector<TinyPerson> persons = RandomPersons();
  std::vector<at::Tensor> dense;
  int64_t tokens = 0;
  for (const TinyPerson& p : persons) {
    dense.push_back(DenseFeatures(*model, dictionary, p.document, kPoint));
    tokens += p.document.length();
  }
  const FeatureIndexResult index = BuildFeatureIndex(*model, dictionary, *WriteCorpus(persons), Options());
  EXPECT_EQ(index.token_count, tokens);
  EXPECT_EQ(index.person_count, 14);
  EXPECT_EQ(index.n_slots, 256);
  ASSERT_THAT(index.features, SizeIs(kFeatures));
  int64_t active = 0;
  for (int64_t feature = 0; feature < kFeatures; ++feature) {
    SCOPED_TRACE(feature);
    const FeatureStatistics& actual = index.features[static_cast<size_t>(feature)];
    const FeatureStatistics expected = ByDefinition(persons, dense, feature, Options());
    EXPECT_NEAR(actual.max_activation, expected.max_activation, 1e-6);
    EXPECT_NEAR(actual.activation_sum, expected.activation_sum, 1e-4);
    EXPECT_EQ(actual.active_token_count, expected.active_token_count);
    EXPECT_EQ(actual.active_person_count, expected.active_person_count);
    EXPECT_EQ(actual.histogram, expected.histogram);
    ExpectSameExamples(actual.examples, expected.examples);
    active += actual.active_token_count;
  }
  EXPECT_GT(active, tokens);
}

TEST(FeatureIndex, BatchSizeDoesNotChangeTheExamples) {
  const auto model = TinyModel(at::kDouble);
  const ReluDictionary dictionary(64, kFeatures, at::kDouble, 9);
  const auto corpus = WriteCorpus(RandomPersons());
  const FeatureIndexResult whole = BuildFeatureIndex(*model, dictionary, *corpus, Options());
  for (const int64_t batch_tokens : {1, 100}) {
    const FeatureIndexResult parts = BuildFeatureIndex(*model, dictionary, *corpus, Options(batch_tokens));
    for (size_t feature = 0; feature < whole.features.size(); ++feature) {
      SCOPED_TRACE(feature);
      ExpectSameExamples(parts.features[feature].examples, whole.features[feature].examples);
      EXPECT_EQ(parts.features[feature].histogram, whole.features[feature].histogram);
    }
  }
}

TEST(FeatureIndex, Float32ActivationsAgreeBetweenBatchSizes) {
  const auto model = TinyModel(at::kFloat);
  const ReluDictionary dictionary(64, kFeatures, at::kFloat, 9);
  const auto corpus = WriteCorpus(RandomPersons());
  const FeatureIndexResult whole = BuildFeatureIndex(*model, dictionary, *corpus, Options());
  const FeatureIndexResult alone = BuildFeatureIndex(*model, dictionary, *corpus, Options(1));
  for (size_t feature = 0; feature < whole.features.size(); ++feature) {
    const std::vector<ExampleRef>& a = whole.features[feature].examples;
    const std::vector<ExampleRef>& b = alone.features[feature].examples;
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i].activation, b[i].activation, 1e-5 * (1 + a[i].activation));
  }
}

TEST(FeatureIndex, ExamplesAreOnePerPersonAndDescend) {
  const auto model = TinyModel(at::kFloat);
  const ReluDictionary dictionary(64, kFeatures, at::kFloat, 9);
  FeatureIndexOptions options = Options();
  options.examples_per_feature = 100;
  const FeatureIndexResult index = BuildFeatureIndex(*model, dictionary, *WriteCorpus(RandomPersons()), options);
  for (const FeatureStatistics& feature : index.features) {
    std::set<int64_t> persons;
    for (size_t i = 0; i < feature.examples.size(); ++i) {
      EXPECT_TRUE(persons.insert(feature.examples[i].person_id).second);
      if (i > 0) {
        EXPECT_LE(feature.examples[i].activation, feature.examples[i - 1].activation);
      }
    }
    EXPECT_EQ(static_cast<int64_t>(feature.examples.size()), feature.active_person_count);
    EXPECT_EQ(std::accumulate(feature.histogram.begin(), feature.histogram.end(), int64_t{0}),
              feature.active_token_count);
  }
}

TEST(FeatureIndex, TiesGoToTheFirstPersonOfTheCorpusAndItsFirstPosition) {
  const auto model = TinyModel(at::kFloat);
  std::vector<TinyPerson> persons = RandomPersons();
  std::swap(persons[0], persons[5]);
  for (const int64_t batch_tokens : {1, 16384}) {
    const FeatureIndexResult index =
        BuildFeatureIndex(*model, Constant(1), *WriteCorpus(persons), Options(batch_tokens));
    ExpectSameExamples(index.features[1].examples, {{105, 0, 1}, {101, 0, 1}, {102, 0, 1}, {103, 0, 1}});
    EXPECT_EQ(index.features[1].active_token_count, index.token_count);
    EXPECT_EQ(index.features[1].active_person_count, 14);
    EXPECT_EQ(index.features[1].activation_sum, static_cast<double>(index.token_count));
  }
}

TEST(FeatureIndex, FeatureThatNeverFiresIsEmpty) {
  const auto model = TinyModel(at::kFloat);
  const FeatureIndexResult index = BuildFeatureIndex(*model, Constant(-1), *WriteCorpus(RandomPersons()), Options());
  for (const FeatureStatistics& feature : index.features) {
    EXPECT_THAT(feature.examples, IsEmpty());
    EXPECT_EQ(feature.max_activation, 0);
    EXPECT_EQ(feature.active_token_count, 0);
    EXPECT_EQ(feature.active_person_count, 0);
    EXPECT_EQ(feature.histogram, std::vector<int64_t>(40, 0));
  }
}

TEST(FeatureIndex, NoExamplesWhenNoneAreAskedFor) {
  const auto model = TinyModel(at::kFloat);
  FeatureIndexOptions options = Options();
  options.examples_per_feature = 0;
  const FeatureIndexResult index = BuildFeatureIndex(*model, Constant(1), *WriteCorpus(RandomPersons()), options);
  EXPECT_THAT(index.features[0].examples, IsEmpty());
  EXPECT_EQ(index.features[0].active_person_count, 14);
}

TEST(HistogramEdge, EdgesAreHalfOctavesAroundOne) {
  EXPECT_EQ(HistogramEdge(19, 40), 1);
  EXPECT_EQ(HistogramEdge(21, 40), 2);
  EXPECT_NEAR(HistogramEdge(20, 40), std::sqrt(2.0), 1e-15);
  EXPECT_EQ(HistogramEdge(2, 7), 1);
  EXPECT_NEAR(HistogramEdge(0, 40), std::exp2(-9.5), 1e-15);
}

TEST(FeatureIndex, HistogramBinsAreClosedAboveAndOpenAtTheEnds) {
  const auto model = TinyModel(at::kFloat);
  const auto corpus = WriteCorpus(RandomPersons());
  const std::pair<double, size_t> cases[] = {{1, 19}, {1.0001, 20}, {2, 21}, {1e-9, 0}, {1e9, 39}, {0.999, 19}};
  for (const auto& [value, bin] : cases) {
    const FeatureIndexResult index = BuildFeatureIndex(*model, Constant(value), *corpus, Options());
    EXPECT_EQ(index.features[0].histogram[bin], index.token_count) << value;
  }
}

TEST(FeatureIndex, ProgressEndsAtTheTotalAndMayStop) {
  const auto model = TinyModel(at::kFloat);
  const auto corpus = WriteCorpus(RandomPersons());
  std::vector<int64_t> seen;
  BuildFeatureIndex(*model, Constant(1), *corpus, Options(1), [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 14);
    seen.push_back(done);
    return true;
  });
  ASSERT_THAT(seen, SizeIs(14));
  EXPECT_EQ(seen.front(), 1);
  EXPECT_EQ(seen.back(), 14);
  int64_t calls = 0;
  EXPECT_THROW(
      BuildFeatureIndex(*model, Constant(1), *corpus, Options(1), [&](int64_t, int64_t) { return ++calls < 3; }),
      Cancelled);
  EXPECT_EQ(calls, 3);
}

std::string Refusal(const Dictionary& dictionary, const FeatureIndexOptions& options) {
  try {
    BuildFeatureIndex(*TinyModel(at::kFloat), dictionary, *WriteCorpus(RandomPersons()), options);
  } catch (const c10::ValueError& error) {
    return error.what_without_backtrace();
  }
  return "not refused";
}

TEST(FeatureIndex, RefusesWhatDoesNotFit) {
  FeatureIndexOptions options = Options();
  options.hook_point = {Site::kResidPost, 3};
  EXPECT_THAT(Refusal(Constant(1), options), StartsWith("hook_point: blocks.3.hook_resid_post"));
  options.hook_point = {Site::kKv, 0};
  EXPECT_THAT(Refusal(Constant(1), options), StartsWith("hook_point: blocks.0.attn.hook_kv"));
  options.hook_point = {Site::kMlpPost, 0};
  EXPECT_THAT(Refusal(Constant(1), options), StartsWith("dictionary: reads vectors of 64, expected 256"));
  EXPECT_THAT(Refusal(ReluDictionary(64, 4, at::kDouble, 1), Options()), StartsWith("dictionary: Double on cpu"));
  options = Options();
  options.n_slots = 10;
  EXPECT_THAT(Refusal(Constant(1), options), StartsWith("corpus: document 0 has "));
  options.n_slots = 257;
  EXPECT_THAT(Refusal(Constant(1), options), StartsWith("n_slots: 257"));
  options = Options(0);
  EXPECT_THAT(Refusal(Constant(1), options), StartsWith("batch_tokens: 0"));
  options = Options();
  options.histogram_bins = 0;
  EXPECT_THAT(Refusal(Constant(1), options), StartsWith("histogram_bins: 0"));
  options = Options();
  options.examples_per_feature = -1;
  EXPECT_THAT(Refusal(Constant(1), options), StartsWith("examples_per_feature: -1"));
}

}  // namespace
}  // namespace lifescope
