// The database interface. Two implementations (SQLite, PostgreSQL) pass one conformance suite.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/records.h"

namespace lifescope {

inline constexpr int32_t kMaxPageSize = 1000;
// Identifiers, names and digests, in bytes of UTF-8.
inline constexpr int64_t kMaxNameBytes = 512;
// A request, a result, a provenance, a description.
inline constexpr int64_t kMaxBlobBytes = 256 << 20;

// A row and its place in its list: what a backend hands to the paging above it.
template <typename T>
struct KeyedRow {
  int64_t key = 0;
  T value;
};
template <typename T>
using KeyedRows = std::vector<KeyedRow<T>>;
// Before the first row. Keys are never negative.
inline constexpr int64_t kListStart = -1;
// The key before which the rows of a newest-first list come.
inline int64_t BackwardsFrom(int64_t after) {
  return after == kListStart ? std::numeric_limits<int64_t>::max() : after;
}

// Thread-safe. Every method returns
//   INVALID_ARGUMENT    if an argument is malformed (empty id, text that is not UTF-8, a number that is not finite,
//                       page size or token),
//   NOT_FOUND           if a named thing does not exist,
//   ALREADY_EXISTS      if a create would overwrite,
//   ABORTED             if the call lost a race and may be retried as a whole,
//   RESOURCE_EXHAUSTED  if the disk is full,
//   UNAVAILABLE         if the database cannot be reached,
//   UNKNOWN             if a commit's outcome could not be learned.
// A create that returned OK survives kill -9 of every process (and of the database server). A create that failed leaves
// nothing behind.
class Store {
 public:
  virtual ~Store() = default;

  // "sqlite" or "postgresql".
  virtual std::string backend() const = 0;

  // Registers an artefact; the same (kind, name, digest) again is OK and changes nothing.
  absl::Status PutArtifact(const ArtifactRecord& artifact);
  // In the order of their registration.
  absl::StatusOr<Page<ArtifactRecord>> ListArtifacts(ArtifactKind kind, const PageRequest& page);

  // ALREADY_EXISTS when the run id, or the request id of this principal, is taken.
  absl::Status CreateRun(const RunRecord& run);
  absl::StatusOr<RunRecord> GetRun(const std::string& run_id);
  absl::StatusOr<RunRecord> FindRunByRequest(const std::string& principal, const std::string& request_id);
  // Newest first. `kind` 0: all.
  absl::StatusOr<Page<RunSummaryRecord>> ListRuns(int32_t kind, const PageRequest& page);

  // All or nothing, in one transaction. Features must be 0 .. feature_count - 1, each once; examples refer to them.
  absl::Status CreateFeatureIndex(const FeatureIndexRecord& index, const std::vector<FeatureRecord>& features,
                                  const std::vector<ExampleRecord>& examples);
  absl::StatusOr<FeatureIndexRecord> GetFeatureIndex(const std::string& index_id);
  // The newest index of a dictionary. NOT_FOUND when it has none.
  absl::StatusOr<FeatureIndexRecord> NewestFeatureIndex(const std::string& dictionary_digest);
  absl::StatusOr<FeatureRecord> GetFeature(const std::string& index_id, int64_t feature);
  // Ties are broken by the feature's number.
  absl::StatusOr<Page<FeatureRecord>> ListFeatures(const std::string& index_id, FeatureOrder order,
                                                   const PageRequest& page);
  // By rank.
  absl::StatusOr<Page<ExampleRecord>> ListExamples(const std::string& index_id, int64_t feature,
                                                   const PageRequest& page);

  // Registers a training run; the same id again is OK and changes nothing.
  absl::Status PutTrainingRun(const TrainingRunRecord& run);
  absl::StatusOr<TrainingRunRecord> GetTrainingRun(const std::string& run_id);
  // Newest first.
  absl::StatusOr<Page<TrainingRunRecord>> ListTrainingRuns(const PageRequest& page);
  // All or nothing. A step that is already there stays as it is: a resumed run says the same again.
  absl::Status AppendTrainingMetrics(const std::string& run_id, const std::vector<TrainingMetricRecord>& metrics);
  // By step.
  absl::StatusOr<Page<TrainingMetricRecord>> ListTrainingMetrics(const std::string& run_id, const PageRequest& page);

  // Append-only.
  absl::Status AppendAudit(const AuditRecord& entry);
  // Newest first.
  absl::StatusOr<Page<AuditRecord>> ListAudit(const PageRequest& page);

  // OK when the database answers.
  virtual absl::Status Ping() = 0;

 private:
  // What a backend writes; arguments have been checked. The Do... of a list returns at most `limit` rows that come
  // after the row whose key is `after` (kListStart: from the first), and an empty list where the parent is missing.
  virtual absl::Status DoPutArtifact(const ArtifactRecord& artifact) = 0;
  virtual absl::StatusOr<KeyedRows<ArtifactRecord>> DoListArtifacts(ArtifactKind kind, int64_t after,
                                                                    int32_t limit) = 0;
  virtual absl::Status DoCreateRun(const RunRecord& run) = 0;
  virtual absl::StatusOr<RunRecord> DoGetRun(const std::string& run_id) = 0;
  virtual absl::StatusOr<RunRecord> DoFindRunByRequest(const std::string& principal, const std::string& request_id) = 0;
  virtual absl::StatusOr<KeyedRows<RunSummaryRecord>> DoListRuns(int32_t kind, int64_t after, int32_t limit) = 0;
  virtual absl::Status DoCreateFeatureIndex(const FeatureIndexRecord& index, const std::vector<FeatureRecord>& features,
                                            const std::vector<ExampleRecord>& examples) = 0;
  virtual absl::StatusOr<FeatureIndexRecord> DoGetFeatureIndex(const std::string& index_id) = 0;
  virtual absl::StatusOr<FeatureIndexRecord> DoNewestFeatureIndex(const std::string& dictionary_digest) = 0;
  virtual absl::StatusOr<FeatureRecord> DoGetFeature(const std::string& index_id, int64_t feature) = 0;
  virtual absl::StatusOr<KeyedRows<FeatureRecord>> DoListFeatures(const std::string& index_id, FeatureOrder order,
                                                                  int64_t after, int32_t limit) = 0;
  virtual absl::StatusOr<KeyedRows<ExampleRecord>> DoListExamples(const std::string& index_id, int64_t feature,
                                                                  int64_t after, int32_t limit) = 0;
  virtual absl::Status DoPutTrainingRun(const TrainingRunRecord& run) = 0;
  virtual absl::StatusOr<TrainingRunRecord> DoGetTrainingRun(const std::string& run_id) = 0;
  virtual absl::StatusOr<KeyedRows<TrainingRunRecord>> DoListTrainingRuns(int64_t after, int32_t limit) = 0;
  // NOT_FOUND without the run.
  virtual absl::Status DoAppendTrainingMetrics(const std::string& run_id,
                                               const std::vector<TrainingMetricRecord>& metrics) = 0;
  virtual absl::StatusOr<KeyedRows<TrainingMetricRecord>> DoListTrainingMetrics(const std::string& run_id,
                                                                                int64_t after, int32_t limit) = 0;
  virtual absl::Status DoAppendAudit(const AuditRecord& entry) = 0;
  virtual absl::StatusOr<KeyedRows<AuditRecord>> DoListAudit(int64_t after, int32_t limit) = 0;
};

// How far a database is.
struct SchemaStatus {
  int32_t database_version = 0;
  int32_t binary_version = 0;
  // Names that would be or were applied.
  std::vector<std::string> pending;
};

// Opens "sqlite:<path>" or "postgresql://..." (or "postgres://...").
// `create_schema`: apply pending migrations (each in a transaction, under a lock); otherwise a database whose schema is
// older is FAILED_PRECONDITION ("run lifescoped migrate"). A database newer than this binary, or an applied migration
// whose checksum differs, is always FAILED_PRECONDITION. INVALID_ARGUMENT: a URL of another kind.
struct StoreOptions {
  bool create_schema = true;
  // PostgreSQL connections.
  int32_t pool_size = 8;
};
absl::StatusOr<std::unique_ptr<Store>> OpenStore(const std::string& url, const StoreOptions& options = {});

// `apply` false: only says what is pending.
absl::StatusOr<SchemaStatus> MigrateStore(const std::string& url, bool apply);

}  // namespace lifescope
