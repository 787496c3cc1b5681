#include "storage/sqlite/sqlite_schema.h"

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace lifescope {
namespace {

constexpr char kCreateTable[] =
    "CREATE TABLE IF NOT EXISTS schema_migration ("
    "version INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, applied_at_us INTEGER NOT NULL) STRICT";

absl::Status ReadApplied(SqliteSession& session, std::vector<AppliedMigration>& applied) {
  SqliteQuery table(session, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migration'");
  if (!table.Next()) return table.status();
  SqliteQuery query(session, "SELECT version, name, sha256 FROM schema_migration ORDER BY version");
  while (query.Next()) {
    applied.push_back({static_cast<int32_t>(query.Int(0)), query.Text(1), query.Text(2)});
  }
  return query.status();
}

}  // namespace

absl::StatusOr<std::vector<AppliedMigration>> SqliteSchema::Applied() {
  std::vector<AppliedMigration> applied;
  const absl::Status status = database_.Read([&](SqliteSession& session) { return ReadApplied(session, applied); });
  if (!status.ok()) return status;
  return applied;
}

absl::Status SqliteSchema::Apply(const Migration& migration) {
  return database_.Write([&](SqliteSession& session) {
    absl::Status status = session.Execute(kCreateTable);
    if (!status.ok()) return status;
    {
      SqliteQuery done(session, "SELECT 1 FROM schema_migration WHERE version = ?1", int64_t{migration.version});
      if (done.Next() || !done.status().ok()) return done.status();
    }
    status = session.Script(migration.sql);
    if (!status.ok()) return status;
    return session.Execute(
        "INSERT INTO schema_migration (version, name, sha256, applied_at_us) VALUES (?1, ?2, ?3, ?4)",
        int64_t{migration.version}, migration.name, migration.sha256, absl::ToUnixMicros(absl::Now()));
  });
}

}  // namespace lifescope
