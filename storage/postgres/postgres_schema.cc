#include "storage/postgres/postgres_schema.h"

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace lifescope {
namespace {

// Any number, the same in every version of lifescope: who migrates holds it.
constexpr int64_t kMigrationLock = 0x6c69666573636f70;

constexpr char kCreateTable[] =
    "CREATE TABLE IF NOT EXISTS schema_migration ("
    "version INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, applied_at_us BIGINT NOT NULL)";

}  // namespace

absl::StatusOr<std::vector<AppliedMigration>> PostgresSchema::Applied() {
  std::vector<AppliedMigration> applied;
  const absl::Status status = database_.Read([&](pqxx::transaction_base& transaction) {
    applied.clear();
    if (transaction.exec("SELECT to_regclass('schema_migration')")[0][0].is_null()) return absl::OkStatus();
    for (const auto& row : transaction.exec("SELECT version, name, sha256 FROM schema_migration ORDER BY version")) {
      applied.push_back({row[0].as<int32_t>(), row[1].c_str(), row[2].c_str()});
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return applied;
}

absl::Status PostgresSchema::Apply(const Migration& migration) {
  return database_.Write([&](pqxx::transaction_base& transaction) {
    transaction.exec("SET LOCAL lock_timeout = 0");
    transaction.exec("SET LOCAL statement_timeout = 0");
    Execute(transaction, "SELECT pg_advisory_xact_lock($1)", kMigrationLock);
    transaction.exec(kCreateTable);
    const pqxx::result done =
        Execute(transaction, "SELECT 1 FROM schema_migration WHERE version = $1", migration.version);
    if (!done.empty()) return absl::OkStatus();
    transaction.exec(migration.sql);
    Execute(transaction, "INSERT INTO schema_migration (version, name, sha256, applied_at_us) VALUES ($1, $2, $3, $4)",
            migration.version, migration.name, migration.sha256, absl::ToUnixMicros(absl::Now()));
    return absl::OkStatus();
  });
}

}  // namespace lifescope
