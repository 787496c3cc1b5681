// Training runs of the SQLite store.
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/sqlite/sqlite_store.h"

namespace lifescope {
namespace {

constexpr char kInsertRun[] =
    "INSERT INTO training_run (run_id, model, corpus_digest, recipe, software_version, created_at_us) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
constexpr char kSelectRun[] =
    "SELECT id, run_id, model, corpus_digest, recipe, software_version, created_at_us FROM training_run "
    "WHERE run_id = ?1";
constexpr char kListRuns[] =
    "SELECT id, run_id, model, corpus_digest, recipe, software_version, created_at_us FROM training_run "
    "WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
constexpr char kInsertMetric[] =
    "INSERT INTO training_metric (run_row, step, learning_rate, loss, mlm_loss, sop_loss) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
constexpr char kInsertValidatedMetric[] =
    "INSERT INTO training_metric (run_row, step, learning_rate, loss, mlm_loss, sop_loss, validation_mlm_loss) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
constexpr char kListMetrics[] =
    "SELECT step, learning_rate, loss, mlm_loss, sop_loss, validation_mlm_loss IS NOT NULL, validation_mlm_loss "
    "FROM training_metric WHERE run_row = (SELECT id FROM training_run WHERE run_id = ?1) AND step > ?2 "
    "ORDER BY step LIMIT ?3";

KeyedRow<TrainingRunRecord> ReadRun(const SqliteQuery& row) {
  return {row.Int(0),
          {row.Text(1), row.Text(2), row.Text(3), row.Text(4), row.Text(5), absl::FromUnixMicros(row.Int(6))}};
}

absl::Status Missing(const std::string& run_id) {
  return absl::NotFoundError(absl::StrCat("training run ", run_id, " does not exist"));
}

absl::StatusOr<KeyedRow<TrainingRunRecord>> SelectRun(SqliteSession& session, const std::string& run_id) {
  SqliteQuery query(session, kSelectRun, run_id);
  if (query.Next()) return ReadRun(query);
  return query.status().ok() ? Missing(run_id) : query.status();
}

absl::Status InsertMetric(SqliteSession& session, int64_t run_row, const TrainingMetricRecord& metric) {
  if (metric.validation_mlm_loss) {
    return session.Execute(kInsertValidatedMetric, run_row, metric.step, metric.learning_rate, metric.loss,
                           metric.mlm_loss, metric.sop_loss, *metric.validation_mlm_loss);
  }
  return session.Execute(kInsertMetric, run_row, metric.step, metric.learning_rate, metric.loss, metric.mlm_loss,
                         metric.sop_loss);
}

}  // namespace

absl::Status SqliteStore::DoPutTrainingRun(const TrainingRunRecord& run) {
  return writer_->Write([&](SqliteSession& session) {
    return session.Execute(kInsertRun, run.run_id, run.model, run.corpus_digest, run.recipe, run.software_version,
                           absl::ToUnixMicros(run.created_at));
  });
}

absl::StatusOr<TrainingRunRecord> SqliteStore::DoGetTrainingRun(const std::string& run_id) {
  absl::StatusOr<TrainingRunRecord> run = Missing(run_id);
  const absl::Status status = reader_->Read([&](SqliteSession& session) {
    absl::StatusOr<KeyedRow<TrainingRunRecord>> found = SelectRun(session, run_id);
    if (found.ok()) run = std::move(found->value);
    return found.status();
  });
  if (!status.ok()) return status;
  return run;
}

absl::StatusOr<KeyedRows<TrainingRunRecord>> SqliteStore::DoListTrainingRuns(int64_t after, int32_t limit) {
  KeyedRows<TrainingRunRecord> rows;
  const absl::Status status = reader_->Read([&](SqliteSession& session) {
    SqliteQuery query(session, kListRuns, BackwardsFrom(after), int64_t{limit});
    while (query.Next()) rows.push_back(ReadRun(query));
    return query.status();
  });
  if (!status.ok()) return status;
  return rows;
}

absl::Status SqliteStore::DoAppendTrainingMetrics(const std::string& run_id,
                                                  const std::vector<TrainingMetricRecord>& metrics) {
  return writer_->Write([&](SqliteSession& session) -> absl::Status {
    const absl::StatusOr<KeyedRow<TrainingRunRecord>> run = SelectRun(session, run_id);
    if (!run.ok()) return run.status();
    for (const TrainingMetricRecord& metric : metrics) {
      const absl::Status status = InsertMetric(session, run->key, metric);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<KeyedRows<TrainingMetricRecord>> SqliteStore::DoListTrainingMetrics(const std::string& run_id,
                                                                                   int64_t after, int32_t limit) {
  KeyedRows<TrainingMetricRecord> rows;
  const absl::Status status = reader_->Read([&](SqliteSession& session) {
    SqliteQuery query(session, kListMetrics, run_id, after, int64_t{limit});
    while (query.Next()) {
      TrainingMetricRecord metric{query.Int(0), query.Real(1), query.Real(2), query.Real(3), query.Real(4), {}};
      if (query.Int(5) != 0) metric.validation_mlm_loss = query.Real(6);
      rows.push_back({metric.step, metric});
    }
    return query.status();
  });
  if (!status.ok()) return status;
  return rows;
}

}  // namespace lifescope
