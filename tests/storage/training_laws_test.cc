// Conformance: training runs and their metrics.
#include <gmock/gmock.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "tests/storage/sample_records.h"
#include "tests/storage/store_conformance.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

std::vector<TrainingMetricRecord> Metrics(int64_t first, int64_t last) {
  std::vector<TrainingMetricRecord> metrics;
  for (int64_t step = first; step <= last; ++step) metrics.push_back(SampleMetric(step));
  return metrics;
}

std::vector<TrainingMetricRecord> AllMetrics(Store& store, const std::string& run_id, int32_t page_size) {
  return Collect<TrainingMetricRecord>(
      page_size, [&](const PageRequest& request) { return store.ListTrainingMetrics(run_id, request); });
}

TEST_P(StoreConformanceTest, TrainingRunIsReturnedWholeAndPuttingItAgainChangesNothing) {
  const TrainingRunRecord run = SampleTrainingRun(1);
  ASSERT_EQ(store_->PutTrainingRun(run), absl::OkStatus());
  TrainingRunRecord again = SampleTrainingRun(2);
  again.run_id = run.run_id;
  ASSERT_EQ(store_->PutTrainingRun(again), absl::OkStatus());
  const absl::StatusOr<TrainingRunRecord> stored = store_->GetTrainingRun(run.run_id);
  ASSERT_EQ(stored.status(), absl::OkStatus());
  EXPECT_EQ(*stored, run);
}

TEST_P(StoreConformanceTest, TrainingRunsAreListedNewestFirst) {
  std::vector<TrainingRunRecord> expected;
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(store_->PutTrainingRun(SampleTrainingRun(i)), absl::OkStatus());
    expected.insert(expected.begin(), SampleTrainingRun(i));
  }
  for (const int32_t page_size : {1, 2, 5, 6}) {
    EXPECT_EQ(Collect<TrainingRunRecord>(page_size,
                                         [&](const PageRequest& request) { return store_->ListTrainingRuns(request); }),
              expected)
        << page_size;
  }
}

TEST_P(StoreConformanceTest, TrainingMetricsAreListedByStepToTheBit) {
  ASSERT_EQ(store_->PutTrainingRun(SampleTrainingRun(1)), absl::OkStatus());
  ASSERT_EQ(store_->PutTrainingRun(SampleTrainingRun(2)), absl::OkStatus());
  const std::string run_id = SampleTrainingRun(1).run_id;
  ASSERT_EQ(store_->AppendTrainingMetrics(run_id, Metrics(1, 7)), absl::OkStatus());
  ASSERT_EQ(store_->AppendTrainingMetrics(run_id, Metrics(8, 12)), absl::OkStatus());
  for (const int32_t page_size : {1, 5, 12, 13}) {
    EXPECT_EQ(AllMetrics(*store_, run_id, page_size), Metrics(1, 12)) << page_size;
  }
  EXPECT_TRUE(AllMetrics(*store_, SampleTrainingRun(2).run_id, 5).empty()) << "a run's metrics are its own";
}

TEST_P(StoreConformanceTest, StepsThatAreThereStayAsTheyAre) {
  ASSERT_EQ(store_->PutTrainingRun(SampleTrainingRun(1)), absl::OkStatus());
  const std::string run_id = SampleTrainingRun(1).run_id;
  ASSERT_EQ(store_->AppendTrainingMetrics(run_id, Metrics(1, 6)), absl::OkStatus());
  std::vector<TrainingMetricRecord> resumed = Metrics(4, 9);
  resumed[0].loss = 99;
  ASSERT_EQ(store_->AppendTrainingMetrics(run_id, resumed), absl::OkStatus());
  EXPECT_EQ(AllMetrics(*store_, run_id, 100), Metrics(1, 9));
}

TEST_P(StoreConformanceTest, MissingTrainingRunIsNamed) {
  for (const absl::Status& status :
       {store_->GetTrainingRun("no-run").status(), store_->AppendTrainingMetrics("no-run", Metrics(1, 1)),
        store_->ListTrainingMetrics("no-run", {}).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(status.message()), HasSubstr("no-run"));
  }
}

TEST_P(StoreConformanceTest, SpoiledMetricsLeaveNothing) {
  ASSERT_EQ(store_->PutTrainingRun(SampleTrainingRun(1)), absl::OkStatus());
  const std::string run_id = SampleTrainingRun(1).run_id;
  const std::vector<std::pair<const char*, std::function<void(TrainingMetricRecord&)>>> cases = {
      {"metrics[2].step", [](TrainingMetricRecord& metric) { metric.step = 0; }},
      {"metrics[2].loss", [](TrainingMetricRecord& metric) { metric.loss = std::numeric_limits<double>::quiet_NaN(); }},
      {"metrics[2].validation_mlm_loss",
       [](TrainingMetricRecord& metric) { metric.validation_mlm_loss = std::numeric_limits<double>::infinity(); }},
  };
  for (const auto& [field, spoil] : cases) {
    std::vector<TrainingMetricRecord> metrics = Metrics(1, 3);
    spoil(metrics[2]);
    const absl::Status status = store_->AppendTrainingMetrics(run_id, metrics);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field;
    EXPECT_THAT(std::string(status.message()), HasSubstr(field));
    EXPECT_TRUE(AllMetrics(*store_, run_id, 5).empty()) << field;
  }
}

}  // namespace
}  // namespace lifescope
