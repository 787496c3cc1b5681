// Conformance: what was acknowledged stays.
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/storage/sample_records.h"
#include "tests/storage/store_conformance.h"
#include "tests/storage/writer_process.h"

namespace lifescope {
namespace {

// Big enough that a run's commit takes several writes to the file.
RunRecord BigRun(int round, int number) {
  RunRecord run = SampleRun(number);
  run.run_id = absl::StrCat("run-", round, "-", number);
  run.request_id = absl::StrCat("request-", round, "-", number);
  run.result.assign(50'000, static_cast<char>('a' + number % 26));
  return run;
}

TEST_P(StoreConformanceTest, ReopenKeepsData) {
  const RunRecord run = SampleRun(1);
  const SampleIndex sample = MakeSampleIndex("index-1", 7, 3);
  ASSERT_EQ(store_->CreateRun(run), absl::OkStatus());
  ASSERT_EQ(store_->PutArtifact(SampleArtifact(ArtifactKind::kModel, 1)), absl::OkStatus());
  ASSERT_EQ(store_->AppendAudit(SampleAudit(1)), absl::OkStatus());
  ASSERT_EQ(store_->CreateFeatureIndex(sample.index, sample.features, sample.examples), absl::OkStatus());

  store_.reset();
  store_ = Open();
  ASSERT_NE(store_, nullptr);
  EXPECT_EQ(*store_->GetRun(run.run_id), run);
  EXPECT_EQ(store_->ListArtifacts(ArtifactKind::kModel, {})->items,
            std::vector<ArtifactRecord>{SampleArtifact(ArtifactKind::kModel, 1)});
  EXPECT_EQ(store_->ListAudit({})->items, std::vector<AuditRecord>{SampleAudit(1)});
  EXPECT_EQ(*store_->GetFeatureIndex("index-1"), sample.index);
  EXPECT_EQ(store_->ListFeatures("index-1", FeatureOrder::kIndex, {})->items, sample.features);
  EXPECT_EQ(store_->CreateRun(run).code(), absl::StatusCode::kAlreadyExists);
}

TEST_P(StoreConformanceTest, WritesOfOneStoreAreSeenByAnother) {
  const std::unique_ptr<Store> other = Open();
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(other->GetRun(SampleRun(1).run_id).status().code(), absl::StatusCode::kNotFound);
  ASSERT_EQ(store_->CreateRun(SampleRun(1)), absl::OkStatus());
  EXPECT_EQ(*other->GetRun(SampleRun(1).run_id), SampleRun(1));
  ASSERT_EQ(other->CreateRun(SampleRun(2)), absl::OkStatus());
  EXPECT_EQ(*store_->GetRun(SampleRun(2).run_id), SampleRun(2));
}

TEST_P(StoreConformanceTest, CreateRunSurvivesKill) {
  store_.reset();
  size_t acknowledged = 0;
  for (int round = 0; round < 6; ++round) {
    WriterProcess writer(database_->url(), [round](Store& store, int number) -> absl::StatusOr<std::string> {
      const RunRecord run = BigRun(round, number);
      const absl::Status status = store.CreateRun(run);
      if (!status.ok()) return status;
      return run.run_id;
    });
    // After the last report the child is somewhere in its next write.
    ASSERT_TRUE(writer.AwaitReports(1 + round * 5 % 7)) << "the writer died";
    const std::vector<std::string> reported = writer.Kill();

    const std::unique_ptr<Store> reopened = Open();
    ASSERT_NE(reopened, nullptr);
    for (size_t i = 0; i < reported.size(); ++i) {
      const absl::StatusOr<RunRecord> run = reopened->GetRun(reported[i]);
      ASSERT_EQ(run.status(), absl::OkStatus()) << "an acknowledged run is lost";
      EXPECT_TRUE(*run == BigRun(round, static_cast<int>(i)));
    }
    acknowledged += reported.size();
    // At most the write under way at the kill is there without a report, and then whole.
    const absl::StatusOr<RunRecord> next = reopened->GetRun(BigRun(round, static_cast<int>(reported.size())).run_id);
    if (next.ok()) {
      EXPECT_TRUE(*next == BigRun(round, static_cast<int>(reported.size())));
      ++acknowledged;
    }
    const std::vector<RunSummaryRecord> all =
        Collect<RunSummaryRecord>(100, [&](const PageRequest& request) { return reopened->ListRuns(0, request); });
    EXPECT_EQ(all.size(), acknowledged);
  }
}

TEST_P(StoreConformanceTest, KilledIndexIsThereWholeOrNotAtAll) {
  store_.reset();
  for (int round = 0; round < 4; ++round) {
    const auto make = [round](int number) {
      // The first is small, so that the parent knows that the child is at the second, which is big.
      return MakeSampleIndex(absl::StrCat("index-", round, "-", number), number == 0 ? 2 : 3000, 8);
    };
    WriterProcess writer(database_->url(), [&](Store& store, int number) -> absl::StatusOr<std::string> {
      const SampleIndex sample = make(number);
      const absl::Status status = store.CreateFeatureIndex(sample.index, sample.features, sample.examples);
      if (!status.ok()) return status;
      return sample.index.index_id;
    });
    ASSERT_TRUE(writer.AwaitReports(1 + round % 2)) << "the writer died";
    const std::vector<std::string> reported = writer.Kill();

    const std::unique_ptr<Store> reopened = Open();
    ASSERT_NE(reopened, nullptr);
    for (size_t number = 0; number <= reported.size(); ++number) {
      const SampleIndex sample = make(static_cast<int>(number));
      const std::string& id = sample.index.index_id;
      if (number == reported.size() && absl::IsNotFound(reopened->GetFeatureIndex(id).status())) {
        EXPECT_EQ(reopened->CreateFeatureIndex(sample.index, sample.features, sample.examples), absl::OkStatus());
      }
      const std::vector<FeatureRecord> features = Collect<FeatureRecord>(
          1000, [&](const PageRequest& request) { return reopened->ListFeatures(id, FeatureOrder::kIndex, request); });
      EXPECT_TRUE(features == sample.features) << id;
      EXPECT_EQ(reopened->ListExamples(id, 1, {})->items.size(), 8u);
    }
  }
}

}  // namespace
}  // namespace lifescope
