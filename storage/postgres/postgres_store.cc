#include "storage/postgres/postgres_store.h"

#include "absl/strings/str_cat.h"
#include "storage/int64_list.h"
#include "storage/postgres/postgres_schema.h"

namespace lifescope {
namespace {

constexpr char kInsertRun[] =
    "INSERT INTO run (run_id, principal, request_id, kind, model, request_sha256, created_at_us, provenance, request, "
    "result) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::bytea, $9::bytea, $10::bytea)";
constexpr char kSelectRun[] =
    "SELECT run_id, principal, request_id, kind, model, request_sha256, created_at_us, provenance, request, result "
    "FROM run WHERE run_id = $1";
constexpr char kSelectRunByRequest[] =
    "SELECT run_id, principal, request_id, kind, model, request_sha256, created_at_us, provenance, request, result "
    "FROM run WHERE principal = $1 AND request_id = $2";
constexpr char kListRuns[] =
    "SELECT id, run_id, principal, request_id, kind, model, provenance, octet_length(request), octet_length(result), "
    "created_at_us FROM run WHERE id < $1 ORDER BY id DESC LIMIT $2";
constexpr char kListRunsOfKind[] =
    "SELECT id, run_id, principal, request_id, kind, model, provenance, octet_length(request), octet_length(result), "
    "created_at_us FROM run WHERE id < $1 AND kind = $3 ORDER BY id DESC LIMIT $2";

absl::Time ReadTime(const pqxx::field& field) { return absl::FromUnixMicros(field.as<int64_t>()); }

RunRecord ReadRun(const pqxx::row& row) {
  RunRecord run;
  run.run_id = row[0].c_str();
  run.principal = row[1].c_str();
  run.request_id = row[2].c_str();
  run.kind = row[3].as<int32_t>();
  run.model = row[4].c_str();
  run.request_sha256 = row[5].c_str();
  run.created_at = ReadTime(row[6]);
  run.provenance = FromBytea(row[7]);
  run.request = FromBytea(row[8]);
  run.result = FromBytea(row[9]);
  return run;
}

KeyedRow<RunSummaryRecord> ReadSummary(const pqxx::row& row) {
  RunSummaryRecord run;
  run.run_id = row[1].c_str();
  run.principal = row[2].c_str();
  run.request_id = row[3].c_str();
  run.kind = row[4].as<int32_t>();
  run.model = row[5].c_str();
  run.provenance = FromBytea(row[6]);
  run.request_bytes = row[7].as<int64_t>();
  run.result_bytes = row[8].as<int64_t>();
  run.created_at = ReadTime(row[9]);
  return {row[0].as<int64_t>(), std::move(run)};
}

}  // namespace

absl::Status PostgresStore::Ping() {
  return database_->Read([](pqxx::transaction_base& transaction) {
    transaction.exec("SELECT 1");
    return absl::OkStatus();
  });
}

absl::Status PostgresStore::DoPutArtifact(const ArtifactRecord& artifact) {
  return database_->Write([&](pqxx::transaction_base& transaction) {
    Execute(transaction,
            "INSERT INTO artifact (kind, name, digest, description, created_at_us) VALUES ($1, $2, $3, $4, $5) "
            "ON CONFLICT DO NOTHING",
            static_cast<int32_t>(artifact.kind), artifact.name, artifact.digest, artifact.description,
            absl::ToUnixMicros(artifact.created_at));
    return absl::OkStatus();
  });
}

absl::StatusOr<KeyedRows<ArtifactRecord>> PostgresStore::DoListArtifacts(ArtifactKind kind, int64_t after,
                                                                         int32_t limit) {
  KeyedRows<ArtifactRecord> rows;
  const absl::Status status = database_->Read([&](pqxx::transaction_base& transaction) {
    rows.clear();
    for (const auto& row :
         Execute(transaction,
                 "SELECT id, name, digest, description, created_at_us FROM artifact WHERE kind = $1 AND id > $2 "
                 "ORDER BY id LIMIT $3",
                 static_cast<int32_t>(kind), after, limit)) {
      rows.push_back({row[0].as<int64_t>(), {kind, row[1].c_str(), row[2].c_str(), row[3].c_str(), ReadTime(row[4])}});
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return rows;
}

absl::Status PostgresStore::DoCreateRun(const RunRecord& run) {
  const std::string provenance = ToBytea(run.provenance);
  const std::string request = ToBytea(run.request);
  const std::string result = ToBytea(run.result);
  return database_->Write([&](pqxx::transaction_base& transaction) {
    Execute(transaction, kInsertRun, run.run_id, run.principal, run.request_id, run.kind, run.model, run.request_sha256,
            absl::ToUnixMicros(run.created_at), provenance, request, result);
    return absl::OkStatus();
  });
}

absl::StatusOr<RunRecord> PostgresStore::DoGetRun(const std::string& run_id) {
  absl::StatusOr<RunRecord> run = absl::NotFoundError(absl::StrCat("run ", run_id, " does not exist"));
  const absl::Status status = database_->Read([&](pqxx::transaction_base& transaction) {
    const pqxx::result rows = Execute(transaction, kSelectRun, run_id);
    if (!rows.empty()) run = ReadRun(rows[0]);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return run;
}

absl::StatusOr<RunRecord> PostgresStore::DoFindRunByRequest(const std::string& principal,
                                                            const std::string& request_id) {
  absl::StatusOr<RunRecord> run =
      absl::NotFoundError(absl::StrCat("no run of ", principal, " has request id ", request_id));
  const absl::Status status = database_->Read([&](pqxx::transaction_base& transaction) {
    const pqxx::result rows = Execute(transaction, kSelectRunByRequest, principal, request_id);
    if (!rows.empty()) run = ReadRun(rows[0]);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return run;
}

absl::StatusOr<KeyedRows<RunSummaryRecord>> PostgresStore::DoListRuns(int32_t kind, int64_t after, int32_t limit) {
  KeyedRows<RunSummaryRecord> rows;
  const absl::Status status = database_->Read([&](pqxx::transaction_base& transaction) {
    rows.clear();
    const pqxx::result found = kind == 0 ? Execute(transaction, kListRuns, BackwardsFrom(after), limit)
                                         : Execute(transaction, kListRunsOfKind, BackwardsFrom(after), limit, kind);
    for (const auto& row : found) rows.push_back(ReadSummary(row));
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return rows;
}

absl::Status PostgresStore::DoAppendAudit(const AuditRecord& entry) {
  return database_->Write([&](pqxx::transaction_base& transaction) {
    Execute(transaction,
            "INSERT INTO audit (principal, action, corpus_digest, person_ids, created_at_us) "
            "VALUES ($1, $2, $3, $4::bigint[], $5)",
            entry.principal, entry.action, entry.corpus_digest, FormatInt64List(entry.person_ids, '{', '}'),
            absl::ToUnixMicros(entry.created_at));
    return absl::OkStatus();
  });
}

absl::StatusOr<KeyedRows<AuditRecord>> PostgresStore::DoListAudit(int64_t after, int32_t limit) {
  KeyedRows<AuditRecord> rows;
  const absl::Status status = database_->Read([&](pqxx::transaction_base& transaction) -> absl::Status {
    rows.clear();
    for (const auto& row :
         Execute(transaction,
                 "SELECT id, principal, action, corpus_digest, person_ids, created_at_us FROM audit WHERE id < $1 "
                 "ORDER BY id DESC LIMIT $2",
                 BackwardsFrom(after), limit)) {
      absl::StatusOr<std::vector<int64_t>> person_ids = ParseInt64List(row[4].c_str(), '{', '}');
      if (!person_ids.ok()) return person_ids.status();
      rows.push_back({row[0].as<int64_t>(),
                      {row[1].c_str(), row[2].c_str(), row[3].c_str(), *std::move(person_ids), ReadTime(row[5])}});
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return rows;
}

absl::StatusOr<std::unique_ptr<Store>> OpenPostgresStore(const std::string& url, const StoreOptions& options) {
  ConnectionPoolOptions pool;
  pool.url = url;
  pool.size = options.pool_size;
  auto database = std::make_unique<PostgresDatabase>(std::move(pool));
  PostgresSchema schema(*database);
  const absl::Status prepared = PrepareSchema(schema, PostgresMigrations(), options.create_schema);
  if (!prepared.ok()) return prepared;
  return std::make_unique<PostgresStore>(std::move(database));
}

absl::StatusOr<SchemaStatus> MigratePostgres(const std::string& url, bool apply,
                                             const std::vector<Migration>& migrations) {
  ConnectionPoolOptions pool;
  pool.url = url;
  pool.size = 1;
  PostgresDatabase database(std::move(pool));
  PostgresSchema schema(database);
  return Migrate(schema, migrations, apply);
}

}  // namespace lifescope
