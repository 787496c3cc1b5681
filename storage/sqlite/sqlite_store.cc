#include "storage/sqlite/sqlite_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/int64_list.h"
#include "storage/sqlite/sqlite_schema.h"

namespace lifescope {
namespace {

RunRecord ReadRun(const SqliteQuery& row) {
  RunRecord run;
  run.run_id = row.Text(0);
  run.principal = row.Text(1);
  run.request_id = row.Text(2);
  run.kind = static_cast<int32_t>(row.Int(3));
  run.model = row.Text(4);
  run.request_sha256 = row.Text(5);
  run.created_at = absl::FromUnixMicros(row.Int(6));
  run.provenance = row.Text(7);
  run.request = row.Text(8);
  run.result = row.Text(9);
  return run;
}

KeyedRow<RunSummaryRecord> ReadSummary(const SqliteQuery& row) {
  RunSummaryRecord run;
  run.run_id = row.Text(1);
  run.principal = row.Text(2);
  run.request_id = row.Text(3);
  run.kind = static_cast<int32_t>(row.Int(4));
  run.model = row.Text(5);
  run.provenance = row.Text(6);
  run.request_bytes = row.Int(7);
  run.result_bytes = row.Int(8);
  run.created_at = absl::FromUnixMicros(row.Int(9));
  return {row.Int(0), std::move(run)};
}

}  // namespace

SqliteStore::SqliteStore(std::shared_ptr<SqliteDatabase> writer, std::shared_ptr<SqliteDatabase> reader)
    : writer_(std::move(writer)), reader_(std::move(reader)) {}

absl::Status SqliteStore::Ping() {
  return reader_->Read([](SqliteSession& session) { return session.Execute("SELECT count(*) FROM schema_migration"); });
}

absl::Status SqliteStore::DoPutArtifact(const ArtifactRecord& artifact) {
  return writer_->Write([&](SqliteSession& session) {
    return session.Execute(
        "INSERT INTO artifact (kind, name, digest, description, created_at_us) VALUES (?1, ?2, ?3, ?4, ?5) "
        "ON CONFLICT DO NOTHING",
        static_cast<int64_t>(artifact.kind), artifact.name, artifact.digest, artifact.description,
        absl::ToUnixMicros(artifact.created_at));
  });
}

absl::StatusOr<KeyedRows<ArtifactRecord>> SqliteStore::DoListArtifacts(ArtifactKind kind, int64_t after,
                                                                       int32_t limit) {
  KeyedRows<ArtifactRecord> rows;
  const absl::Status status = reader_->Read([&](SqliteSession& session) {
    SqliteQuery query(session,
                      "SELECT id, name, digest, description, created_at_us FROM artifact "
                      "WHERE kind = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                      static_cast<int64_t>(kind), after, int64_t{limit});
    while (query.Next()) {
      rows.push_back(
          {query.Int(0), {kind, query.Text(1), query.Text(2), query.Text(3), absl::FromUnixMicros(query.Int(4))}});
    }
    return query.status();
  });
  if (!status.ok()) return status;
  return rows;
}

absl::Status SqliteStore::DoCreateRun(const RunRecord& run) {
  return writer_->Write([&](SqliteSession& session) {
    return session.Execute(
        "INSERT INTO run (run_id, principal, request_id, kind, model, request_sha256, created_at_us, provenance, "
        "request, result) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        run.run_id, run.principal, run.request_id, int64_t{run.kind}, run.model, run.request_sha256,
        absl::ToUnixMicros(run.created_at), SqliteBlob{run.provenance}, SqliteBlob{run.request},
        SqliteBlob{run.result});
  });
}

absl::StatusOr<RunRecord> SqliteStore::DoGetRun(const std::string& run_id) {
  absl::StatusOr<RunRecord> run = absl::NotFoundError(absl::StrCat("run ", run_id, " does not exist"));
  const absl::Status status = reader_->Read([&](SqliteSession& session) {
    SqliteQuery query(session,
                      "SELECT run_id, principal, request_id, kind, model, request_sha256, created_at_us, provenance, "
                      "request, result FROM run WHERE run_id = ?1",
                      run_id);
    if (query.Next()) run = ReadRun(query);
    return query.status();
  });
  if (!status.ok()) return status;
  return run;
}

absl::StatusOr<RunRecord> SqliteStore::DoFindRunByRequest(const std::string& principal, const std::string& request_id) {
  absl::StatusOr<RunRecord> run =
      absl::NotFoundError(absl::StrCat("no run of ", principal, " has request id ", request_id));
  const absl::Status status = reader_->Read([&](SqliteSession& session) {
    SqliteQuery query(session,
                      "SELECT run_id, principal, request_id, kind, model, request_sha256, created_at_us, provenance, "
                      "request, result FROM run WHERE principal = ?1 AND request_id = ?2",
                      principal, request_id);
    if (query.Next()) run = ReadRun(query);
    return query.status();
  });
  if (!status.ok()) return status;
  return run;
}

absl::StatusOr<KeyedRows<RunSummaryRecord>> SqliteStore::DoListRuns(int32_t kind, int64_t after, int32_t limit) {
  constexpr char kAll[] =
      "SELECT id, run_id, principal, request_id, kind, model, provenance, length(request), length(result), "
      "created_at_us FROM run WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
  constexpr char kOfKind[] =
      "SELECT id, run_id, principal, request_id, kind, model, provenance, length(request), length(result), "
      "created_at_us FROM run WHERE id < ?1 AND kind = ?3 ORDER BY id DESC LIMIT ?2";
  KeyedRows<RunSummaryRecord> rows;
  const auto collect = [&](SqliteQuery&& query) {
    while (query.Next()) rows.push_back(ReadSummary(query));
    return query.status();
  };
  const absl::Status status = reader_->Read([&](SqliteSession& session) {
    if (kind == 0) return collect(SqliteQuery(session, kAll, BackwardsFrom(after), int64_t{limit}));
    return collect(SqliteQuery(session, kOfKind, BackwardsFrom(after), int64_t{limit}, int64_t{kind}));
  });
  if (!status.ok()) return status;
  return rows;
}

absl::Status SqliteStore::DoAppendAudit(const AuditRecord& entry) {
  return writer_->Write([&](SqliteSession& session) {
    return session.Execute(
        "INSERT INTO audit (principal, action, corpus_digest, person_ids, created_at_us) VALUES (?1, ?2, ?3, ?4, ?5)",
        entry.principal, entry.action, entry.corpus_digest, FormatInt64List(entry.person_ids, '[', ']'),
        absl::ToUnixMicros(entry.created_at));
  });
}

absl::StatusOr<KeyedRows<AuditRecord>> SqliteStore::DoListAudit(int64_t after, int32_t limit) {
  KeyedRows<AuditRecord> rows;
  const absl::Status status = reader_->Read([&](SqliteSession& session) -> absl::Status {
    SqliteQuery query(session,
                      "SELECT id, principal, action, corpus_digest, person_ids, created_at_us FROM audit "
                      "WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
                      BackwardsFrom(after), int64_t{limit});
    while (query.Next()) {
      absl::StatusOr<std::vector<int64_t>> person_ids = ParseInt64List(query.Text(4), '[', ']');
      if (!person_ids.ok()) return person_ids.status();
      rows.push_back(
          {query.Int(0),
           {query.Text(1), query.Text(2), query.Text(3), *std::move(person_ids), absl::FromUnixMicros(query.Int(5))}});
    }
    return query.status();
  });
  if (!status.ok()) return status;
  return rows;
}

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& path, bool create_schema) {
  absl::StatusOr<std::unique_ptr<SqliteDatabase>> writer = SqliteDatabase::Open(path, create_schema);
  if (absl::IsNotFound(writer.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat(std::string(writer.status().message()), ": run lifescoped migrate"));
  }
  if (!writer.ok()) return writer.status();
  SqliteSchema schema(**writer);
  const absl::Status prepared = PrepareSchema(schema, SqliteMigrations(), create_schema);
  if (!prepared.ok()) return prepared;

  std::shared_ptr<SqliteDatabase> shared_writer = *std::move(writer);
  // A database in memory is its connection's own.
  if (path == ":memory:") return std::make_unique<SqliteStore>(shared_writer, shared_writer);
  absl::StatusOr<std::unique_ptr<SqliteDatabase>> reader = SqliteDatabase::Open(path, /*create=*/false);
  if (!reader.ok()) return reader.status();
  return std::make_unique<SqliteStore>(std::move(shared_writer), *std::move(reader));
}

absl::StatusOr<SchemaStatus> MigrateSqlite(const std::string& path, bool apply,
                                           const std::vector<Migration>& migrations) {
  absl::StatusOr<std::unique_ptr<SqliteDatabase>> database = SqliteDatabase::Open(path, /*create=*/apply);
  if (!apply && absl::IsNotFound(database.status())) {
    SchemaStatus schema;
    schema.binary_version = static_cast<int32_t>(migrations.size());
    for (const Migration& migration : migrations) schema.pending.push_back(migration.name);
    return schema;
  }
  if (!database.ok()) return database.status();
  SqliteSchema schema(**database);
  return Migrate(schema, migrations, apply);
}

}  // namespace lifescope
