// Training runs of the PostgreSQL store.
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/postgres/postgres_store.h"

namespace lifescope {
namespace {

constexpr char kInsertRun[] =
    "INSERT INTO training_run (run_id, model, corpus_digest, recipe, software_version, created_at_us) "
    "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
constexpr char kSelectRun[] =
    "SELECT id, run_id, model, corpus_digest, recipe, software_version, created_at_us FROM training_run "
    "WHERE run_id = $1";
constexpr char kListRuns[] =
    "SELECT id, run_id, model, corpus_digest, recipe, software_version, created_at_us FROM training_run "
    "WHERE id < $1 ORDER BY id DESC LIMIT $2";
constexpr char kInsertMetric[] =
    "INSERT INTO training_metric (run_row, step, learning_rate, loss, mlm_loss, sop_loss) "
    "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
constexpr char kInsertValidatedMetric[] =
    "INSERT INTO training_metric (run_row, step, learning_rate, loss, mlm_loss, sop_loss, validation_mlm_loss) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
constexpr char kListMetrics[] =
    "SELECT step, learning_rate, loss, mlm_loss, sop_loss, validation_mlm_loss FROM training_metric "
    "WHERE run_row = (SELECT id FROM training_run WHERE run_id = $1) AND step > $2 ORDER BY step LIMIT $3";

KeyedRow<TrainingRunRecord> ReadRun(const pqxx::row& row) {
  return {row[0].as<int64_t>(),
          {row[1].c_str(), row[2].c_str(), row[3].c_str(), row[4].c_str(), row[5].c_str(),
           absl::FromUnixMicros(row[6].as<int64_t>())}};
}

absl::StatusOr<KeyedRow<TrainingRunRecord>> SelectRun(pqxx::transaction_base& transaction, const std::string& run_id) {
  const pqxx::result rows = Execute(transaction, kSelectRun, run_id);
  if (!rows.empty()) return ReadRun(rows[0]);
  return absl::NotFoundError(absl::StrCat("training run ", run_id, " does not exist"));
}

void InsertMetric(pqxx::transaction_base& transaction, int64_t run_row, const TrainingMetricRecord& metric) {
  if (metric.validation_mlm_loss) {
    Execute(transaction, kInsertValidatedMetric, run_row, metric.step, metric.learning_rate, metric.loss,
            metric.mlm_loss, metric.sop_loss, *metric.validation_mlm_loss);
  } else {
    Execute(transaction, kInsertMetric, run_row, metric.step, metric.learning_rate, metric.loss, metric.mlm_loss,
            metric.sop_loss);
  }
}

}  // namespace

absl::Status PostgresStore::DoPutTrainingRun(const TrainingRunRecord& run) {
  return database_->Write([&](pqxx::transaction_base& transaction) {
    Execute(transaction, kInsertRun, run.run_id, run.model, run.corpus_digest, run.recipe, run.software_version,
            absl::ToUnixMicros(run.created_at));
    return absl::OkStatus();
  });
}

absl::StatusOr<TrainingRunRecord> PostgresStore::DoGetTrainingRun(const std::string& run_id) {
  absl::StatusOr<KeyedRow<TrainingRunRecord>> run = absl::UnknownError("not read");
  const absl::Status status = database_->Read([&](pqxx::transaction_base& transaction) {
    run = SelectRun(transaction, run_id);
    return run.status();
  });
  if (!status.ok()) return status;
  return std::move(run->value);
}

absl::StatusOr<KeyedRows<TrainingRunRecord>> PostgresStore::DoListTrainingRuns(int64_t after, int32_t limit) {
  KeyedRows<TrainingRunRecord> rows;
  const absl::Status status = database_->Read([&](pqxx::transaction_base& transaction) {
    rows.clear();
    for (const auto& row : Execute(transaction, kListRuns, BackwardsFrom(after), limit)) rows.push_back(ReadRun(row));
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return rows;
}

absl::Status PostgresStore::DoAppendTrainingMetrics(const std::string& run_id,
                                                    const std::vector<TrainingMetricRecord>& metrics) {
  return database_->Write([&](pqxx::transaction_base& transaction) -> absl::Status {
    const absl::StatusOr<KeyedRow<TrainingRunRecord>> run = SelectRun(transaction, run_id);
    if (!run.ok()) return run.status();
    for (const TrainingMetricRecord& metric : metrics) {
      InsertMetric(transaction, run->key, metric);
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<KeyedRows<TrainingMetricRecord>> PostgresStore::DoListTrainingMetrics(const std::string& run_id,
                                                                                     int64_t after, int32_t limit) {
  KeyedRows<TrainingMetricRecord> rows;
  const absl::Status status = database_->Read([&](pqxx::transaction_base& transaction) {
    rows.clear();
    for (const auto& row : Execute(transaction, kListMetrics, run_id, after, limit)) {
      TrainingMetricRecord metric{row[0].as<int64_t>(), row[1].as<double>(), row[2].as<double>(),
                                  row[3].as<double>(),  row[4].as<double>(), {}};
      if (!row[5].is_null()) metric.validation_mlm_loss = row[5].as<double>();
      rows.push_back({metric.step, metric});
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return rows;
}

}  // namespace lifescope
