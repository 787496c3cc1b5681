// Conformance: feature indexes.
#include <gmock/gmock.h>

#include <algorithm>
#include <limits>

#include "tests/storage/sample_records.h"
#include "tests/storage/store_conformance.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

std::vector<FeatureRecord> AllFeatures(Store& store, const std::string& index_id, FeatureOrder order,
                                       int32_t page_size) {
  return Collect<FeatureRecord>(
      page_size, [&](const PageRequest& request) { return store.ListFeatures(index_id, order, request); });
}

std::vector<ExampleRecord> AllExamples(Store& store, const std::string& index_id, int64_t feature, int32_t page_size) {
  return Collect<ExampleRecord>(
      page_size, [&](const PageRequest& request) { return store.ListExamples(index_id, feature, request); });
}

absl::Status Create(Store& store, const SampleIndex& sample) {
  return store.CreateFeatureIndex(sample.index, sample.features, sample.examples);
}

TEST_P(StoreConformanceTest, CreatedIndexIsReturnedWhole) {
  SampleIndex sample = MakeSampleIndex("index-1", 23, 4);
  // In any order.
  std::reverse(sample.features.begin(), sample.features.end());
  std::reverse(sample.examples.begin(), sample.examples.end());
  ASSERT_EQ(Create(*store_, sample), absl::OkStatus());
  EXPECT_EQ(*store_->GetFeatureIndex("index-1"), sample.index);
  for (const FeatureRecord& feature : sample.features) {
    const absl::StatusOr<FeatureRecord> stored = store_->GetFeature("index-1", feature.feature);
    ASSERT_EQ(stored.status(), absl::OkStatus());
    EXPECT_EQ(*stored, feature);
  }
  std::reverse(sample.examples.begin(), sample.examples.end());
  std::vector<ExampleRecord> stored;
  for (int64_t feature = 0; feature < 23; ++feature) {
    for (const ExampleRecord& example : AllExamples(*store_, "index-1", feature, 3)) stored.push_back(example);
  }
  EXPECT_EQ(stored, sample.examples);
}

TEST_P(StoreConformanceTest, NumbersAreKeptToTheBit) {
  const std::vector<double> values = {0.1,  1.0 / 3, 5e-324, std::numeric_limits<double>::max(), 12345678.900000001,
                                      -0.7, 1e-7,    3e22,   std::numeric_limits<float>::min(),  0.0};
  SampleIndex sample = MakeSampleIndex("index-1", static_cast<int64_t>(values.size()), 1);
  for (size_t i = 0; i < values.size(); ++i) {
    sample.features[i].max_activation = values[i];
    sample.features[i].activation_sum = -values[i];
    sample.features[i].active_token_count = std::numeric_limits<int64_t>::max();
    sample.features[i].histogram = {std::numeric_limits<int64_t>::max(), 0};
    if (i > 0) sample.examples[i - 1].activation = values[i];
  }
  sample.features[0].histogram.clear();
  ASSERT_EQ(Create(*store_, sample), absl::OkStatus());
  EXPECT_EQ(AllFeatures(*store_, "index-1", FeatureOrder::kIndex, 100), sample.features);
  for (const ExampleRecord& example : sample.examples) {
    EXPECT_EQ(AllExamples(*store_, "index-1", example.feature, 10), std::vector<ExampleRecord>{example});
  }
}

TEST_P(StoreConformanceTest, FeatureOrdersAreTotal) {
  const SampleIndex sample = MakeSampleIndex("index-1", 31, 0);
  ASSERT_EQ(Create(*store_, sample), absl::OkStatus());
  // A second index must not show through.
  ASSERT_EQ(Create(*store_, MakeSampleIndex("index-2", 40, 1)), absl::OkStatus());
  std::vector<FeatureRecord> by_density = sample.features;
  std::stable_sort(by_density.begin(), by_density.end(), [](const FeatureRecord& a, const FeatureRecord& b) {
    return a.active_token_count > b.active_token_count;
  });
  std::vector<FeatureRecord> by_maximum = sample.features;
  std::stable_sort(by_maximum.begin(), by_maximum.end(),
                   [](const FeatureRecord& a, const FeatureRecord& b) { return a.max_activation > b.max_activation; });
  for (const int32_t page_size : {1, 4, 30, 31, 32}) {
    EXPECT_EQ(AllFeatures(*store_, "index-1", FeatureOrder::kIndex, page_size), sample.features) << page_size;
    EXPECT_EQ(AllFeatures(*store_, "index-1", FeatureOrder::kTokenDensityDesc, page_size), by_density) << page_size;
    EXPECT_EQ(AllFeatures(*store_, "index-1", FeatureOrder::kMaxActivationDesc, page_size), by_maximum) << page_size;
  }
}

TEST_P(StoreConformanceTest, ExamplesAreListedByRank) {
  const SampleIndex sample = MakeSampleIndex("index-1", 3, 9);
  ASSERT_EQ(Create(*store_, sample), absl::OkStatus());
  const std::vector<ExampleRecord> expected(sample.examples.begin() + 9, sample.examples.end());
  for (const int32_t page_size : {1, 2, 8, 9, 10}) EXPECT_EQ(AllExamples(*store_, "index-1", 2, page_size), expected);
}

TEST_P(StoreConformanceTest, DeadFeatureHasNoExamples) {
  ASSERT_EQ(Create(*store_, MakeSampleIndex("index-1", 3, 2)), absl::OkStatus());
  const absl::StatusOr<Page<ExampleRecord>> page = store_->ListExamples("index-1", 0, {});
  ASSERT_EQ(page.status(), absl::OkStatus());
  EXPECT_TRUE(page->items.empty());
  EXPECT_TRUE(page->next_page_token.empty());
}

TEST_P(StoreConformanceTest, IndexWithoutFeaturesHasNone) {
  ASSERT_EQ(Create(*store_, MakeSampleIndex("index-1", 0, 0)), absl::OkStatus());
  EXPECT_TRUE(AllFeatures(*store_, "index-1", FeatureOrder::kIndex, 5).empty());
}

TEST_P(StoreConformanceTest, WhatIsMissingIsNamed) {
  ASSERT_EQ(Create(*store_, MakeSampleIndex("index-1", 3, 2)), absl::OkStatus());
  const std::vector<std::pair<absl::Status, const char*>> cases = {
      {store_->GetFeatureIndex("no-index").status(), "no-index"},
      {store_->NewestFeatureIndex("sha256:none").status(), "sha256:none"},
      {store_->GetFeature("no-index", 0).status(), "no-index"},
      {store_->GetFeature("index-1", 3).status(), "feature 3"},
      {store_->GetFeature("index-1", -1).status(), "feature -1"},
      {store_->ListFeatures("no-index", FeatureOrder::kTokenDensityDesc, {}).status(), "no-index"},
      {store_->ListExamples("no-index", 0, {}).status(), "no-index"},
      {store_->ListExamples("index-1", 3, {}).status(), "feature 3"},
  };
  for (const auto& [status, name] : cases) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
}

TEST_P(StoreConformanceTest, SecondCreateOfAnIndexIsAlreadyExists) {
  const SampleIndex first = MakeSampleIndex("index-1", 3, 2);
  ASSERT_EQ(Create(*store_, first), absl::OkStatus());
  EXPECT_EQ(Create(*store_, MakeSampleIndex("index-1", 5, 4)).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(*store_->GetFeatureIndex("index-1"), first.index) << "the first stays as it was";
  EXPECT_EQ(AllFeatures(*store_, "index-1", FeatureOrder::kIndex, 10), first.features);
  EXPECT_EQ(AllExamples(*store_, "index-1", 1, 10).size(), 2u);
}

TEST_P(StoreConformanceTest, NewestIndexIsTheLastCreated) {
  ASSERT_EQ(Create(*store_, MakeSampleIndex("z-first", 2, 1)), absl::OkStatus());
  ASSERT_EQ(Create(*store_, MakeSampleIndex("a-second", 2, 1)), absl::OkStatus());
  SampleIndex other = MakeSampleIndex("m-other", 2, 1);
  other.index.dictionary_digest = "sha256:other";
  ASSERT_EQ(Create(*store_, other), absl::OkStatus());
  EXPECT_EQ(store_->NewestFeatureIndex("sha256:dictionary")->index_id, "a-second");
  EXPECT_EQ(*store_->NewestFeatureIndex("sha256:other"), other.index);
}

TEST_P(StoreConformanceTest, FailedIndexLeavesNothing) {
  const std::vector<std::pair<const char*, std::function<void(SampleIndex&)>>> cases = {
      {"index_id", [](SampleIndex& sample) { sample.index.index_id.clear(); }},
      {"dictionary_digest", [](SampleIndex& sample) { sample.index.dictionary_digest.clear(); }},
      {"token_count", [](SampleIndex& sample) { sample.index.token_count = -1; }},
      {"features", [](SampleIndex& sample) { sample.features.pop_back(); }},
      {"features[4].feature", [](SampleIndex& sample) { sample.features[4].feature = 3; }},
      {"features[4].feature", [](SampleIndex& sample) { sample.features[4].feature = 5; }},
      {"features[0].max_activation",
       [](SampleIndex& sample) { sample.features[0].max_activation = std::numeric_limits<double>::quiet_NaN(); }},
      {"features[2].activation_sum",
       [](SampleIndex& sample) { sample.features[2].activation_sum = std::numeric_limits<double>::infinity(); }},
      {"examples[7].feature", [](SampleIndex& sample) { sample.examples[7].feature = 5; }},
      {"examples[7].rank", [](SampleIndex& sample) { sample.examples[7].rank = 0; }},
      {"rank 1 of feature 1 twice", [](SampleIndex& sample) { sample.examples[1].rank = 1; }},
      {"examples[7].activation",
       [](SampleIndex& sample) { sample.examples[7].activation = -std::numeric_limits<double>::infinity(); }},
  };
  for (const auto& [field, spoil] : cases) {
    SampleIndex sample = MakeSampleIndex("index-1", 5, 2);
    spoil(sample);
    const absl::Status status = Create(*store_, sample);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field;
    EXPECT_THAT(std::string(status.message()), HasSubstr(field));
    EXPECT_EQ(store_->GetFeatureIndex("index-1").status().code(), absl::StatusCode::kNotFound) << field;
  }
  EXPECT_EQ(Create(*store_, MakeSampleIndex("index-1", 5, 2)), absl::OkStatus()) << "the id is still free";
}

}  // namespace
}  // namespace lifescope
