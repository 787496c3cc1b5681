// Conformance: artefacts, the audit log, and what holds for a store as a whole.
#include <algorithm>

#include "tests/storage/sample_records.h"
#include "tests/storage/store_conformance.h"

namespace lifescope {
namespace {

std::vector<ArtifactRecord> AllArtifacts(Store& store, ArtifactKind kind, int32_t page_size) {
  return Collect<ArtifactRecord>(page_size,
                                 [&](const PageRequest& request) { return store.ListArtifacts(kind, request); });
}

TEST_P(StoreConformanceTest, ArtifactsAreListedByKindInOrder) {
  std::vector<ArtifactRecord> models;
  for (int i = 0; i < 5; ++i) {
    models.push_back(SampleArtifact(ArtifactKind::kModel, i));
    ASSERT_EQ(store_->PutArtifact(models.back()), absl::OkStatus());
    ASSERT_EQ(store_->PutArtifact(SampleArtifact(ArtifactKind::kCorpus, i)), absl::OkStatus());
  }
  for (const int32_t page_size : {1, 2, 5, 6}) {
    EXPECT_EQ(AllArtifacts(*store_, ArtifactKind::kModel, page_size), models) << "page size " << page_size;
  }
  EXPECT_EQ(AllArtifacts(*store_, ArtifactKind::kCorpus, 2).size(), 5u);
  EXPECT_TRUE(AllArtifacts(*store_, ArtifactKind::kDictionary, 2).empty());
  ASSERT_EQ(store_->PutArtifact(SampleArtifact(ArtifactKind::kHead, 9)), absl::OkStatus());
  EXPECT_EQ(AllArtifacts(*store_, ArtifactKind::kHead, 2).size(), 1u);
}

TEST_P(StoreConformanceTest, PuttingAnArtifactTwiceChangesNothing) {
  const ArtifactRecord first = SampleArtifact(ArtifactKind::kDictionary, 1);
  ASSERT_EQ(store_->PutArtifact(first), absl::OkStatus());
  ArtifactRecord again = first;
  again.description = "{}";
  again.created_at += absl::Hours(1);
  EXPECT_EQ(store_->PutArtifact(again), absl::OkStatus());
  EXPECT_EQ(AllArtifacts(*store_, first.kind, 10), std::vector<ArtifactRecord>{first});
}

TEST_P(StoreConformanceTest, ANameMayBeReusedForOtherContent) {
  const ArtifactRecord first = SampleArtifact(ArtifactKind::kModel, 1);
  ArtifactRecord second = first;
  second.digest = "sha256:other";
  ASSERT_EQ(store_->PutArtifact(first), absl::OkStatus());
  ASSERT_EQ(store_->PutArtifact(second), absl::OkStatus());
  EXPECT_EQ(AllArtifacts(*store_, first.kind, 10), (std::vector<ArtifactRecord>{first, second}));
}

TEST_P(StoreConformanceTest, MalformedArtifactIsInvalidArgument) {
  ArtifactRecord artifact = SampleArtifact(ArtifactKind::kModel, 1);
  artifact.name.clear();
  EXPECT_EQ(store_->PutArtifact(artifact).code(), absl::StatusCode::kInvalidArgument);
  artifact = SampleArtifact(ArtifactKind::kModel, 1);
  artifact.digest.clear();
  EXPECT_EQ(store_->PutArtifact(artifact).code(), absl::StatusCode::kInvalidArgument);
  artifact = SampleArtifact(static_cast<ArtifactKind>(0), 1);
  EXPECT_EQ(store_->PutArtifact(artifact).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->ListArtifacts(static_cast<ArtifactKind>(5), {}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_P(StoreConformanceTest, AuditIsListedNewestFirst) {
  std::vector<AuditRecord> expected;
  for (int i = 0; i < 5; ++i) {
    expected.push_back(SampleAudit(i));
    if (i == 3) expected.back().person_ids.clear();
    ASSERT_EQ(store_->AppendAudit(expected.back()), absl::OkStatus());
  }
  std::reverse(expected.begin(), expected.end());
  for (const int32_t page_size : {1, 2, 5, 6}) {
    EXPECT_EQ(Collect<AuditRecord>(page_size, [&](const PageRequest& request) { return store_->ListAudit(request); }),
              expected);
  }
}

TEST_P(StoreConformanceTest, MalformedAuditIsInvalidArgument) {
  AuditRecord entry = SampleAudit(1);
  entry.action.clear();
  EXPECT_EQ(store_->AppendAudit(entry).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(store_->ListAudit({})->items.empty());
}

TEST_P(StoreConformanceTest, OpenStoreAnswersPing) {
  EXPECT_EQ(store_->Ping(), absl::OkStatus());
  EXPECT_FALSE(store_->backend().empty());
}

}  // namespace
}  // namespace lifescope
