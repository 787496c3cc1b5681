// The store in a SQLite file: the embedded default.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/migration.h"
#include "storage/sqlite/sqlite_database.h"
#include "storage/store.h"

namespace lifescope {

// As OpenStore and MigrateStore; `path` ":memory:" is a store that ends with the object.
absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& path, bool create_schema);
absl::StatusOr<SchemaStatus> MigrateSqlite(const std::string& path, bool apply,
                                           const std::vector<Migration>& migrations);

// Several processes may have the file open; a reader never waits for a writer (write-ahead log). Thread-safe.
class SqliteStore : public Store {
 public:
  // `reader` may be `writer`.
  SqliteStore(std::shared_ptr<SqliteDatabase> writer, std::shared_ptr<SqliteDatabase> reader);

  std::string backend() const override { return "sqlite"; }
  absl::Status Ping() override;

 private:
  absl::Status DoPutArtifact(const ArtifactRecord& artifact) override;
  absl::StatusOr<KeyedRows<ArtifactRecord>> DoListArtifacts(ArtifactKind kind, int64_t after, int32_t limit) override;
  absl::Status DoCreateRun(const RunRecord& run) override;
  absl::StatusOr<RunRecord> DoGetRun(const std::string& run_id) override;
  absl::StatusOr<RunRecord> DoFindRunByRequest(const std::string& principal, const std::string& request_id) override;
  absl::StatusOr<KeyedRows<RunSummaryRecord>> DoListRuns(int32_t kind, int64_t after, int32_t limit) override;
  absl::Status DoCreateFeatureIndex(const FeatureIndexRecord& index, const std::vector<FeatureRecord>& features,
                                    const std::vector<ExampleRecord>& examples) override;
  absl::StatusOr<FeatureIndexRecord> DoGetFeatureIndex(const std::string& index_id) override;
  absl::StatusOr<FeatureIndexRecord> DoNewestFeatureIndex(const std::string& dictionary_digest) override;
  absl::StatusOr<FeatureRecord> DoGetFeature(const std::string& index_id, int64_t feature) override;
  absl::StatusOr<KeyedRows<FeatureRecord>> DoListFeatures(const std::string& index_id, FeatureOrder order,
                                                          int64_t after, int32_t limit) override;
  absl::StatusOr<KeyedRows<ExampleRecord>> DoListExamples(const std::string& index_id, int64_t feature, int64_t after,
                                                          int32_t limit) override;
  absl::Status DoPutTrainingRun(const TrainingRunRecord& run) override;
  absl::StatusOr<TrainingRunRecord> DoGetTrainingRun(const std::string& run_id) override;
  absl::StatusOr<KeyedRows<TrainingRunRecord>> DoListTrainingRuns(int64_t after, int32_t limit) override;
  absl::Status DoAppendTrainingMetrics(const std::string& run_id,
                                       const std::vector<TrainingMetricRecord>& metrics) override;
  absl::StatusOr<KeyedRows<TrainingMetricRecord>> DoListTrainingMetrics(const std::string& run_id, int64_t after,
                                                                        int32_t limit) override;
  absl::Status DoAppendAudit(const AuditRecord& entry) override;
  absl::StatusOr<KeyedRows<AuditRecord>> DoListAudit(int64_t after, int32_t limit) override;

  // Synchronise themselves.
  const std::shared_ptr<SqliteDatabase> writer_;
  const std::shared_ptr<SqliteDatabase> reader_;
};

}  // namespace lifescope
