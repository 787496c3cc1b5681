// The store in a PostgreSQL database.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/migration.h"
#include "storage/postgres/postgres_database.h"
#include "storage/store.h"

namespace lifescope {

// As OpenStore and MigrateStore. A server that cannot be reached is UNAVAILABLE.
absl::StatusOr<std::unique_ptr<Store>> OpenPostgresStore(const std::string& url, const StoreOptions& options);
absl::StatusOr<SchemaStatus> MigratePostgres(const std::string& url, bool apply,
                                             const std::vector<Migration>& migrations);

// Thread-safe. Outlives restarts of the server: calls meanwhile are UNAVAILABLE, calls afterwards reconnect.
class PostgresStore : public Store {
 public:
  explicit PostgresStore(std::unique_ptr<PostgresDatabase> database) : database_(std::move(database)) {}

  std::string backend() const override { return "postgresql"; }
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

  // Synchronises itself.
  const std::unique_ptr<PostgresDatabase> database_;
};

}  // namespace lifescope
