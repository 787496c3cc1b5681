// Schema changes: numbered files of SQL that are compiled in, each applied once, in order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/store.h"

namespace lifescope {

struct Migration {
  int32_t version = 0;  // from 1
  std::string name;     // "0001_initial"
  std::string sql;
  std::string sha256;  // of sql
};

// Compiled in from storage/<backend>/schema, oldest first (cmake/EmbedMigrations.cmake).
std::vector<Migration> SqliteMigrations();
std::vector<Migration> PostgresMigrations();

// What a database says it has had.
struct AppliedMigration {
  int32_t version = 0;
  std::string name;
  std::string sha256;
};

// A database whose schema can be changed.
class SchemaTarget {
 public:
  virtual ~SchemaTarget() = default;

  // Oldest first; empty for a fresh database, which is not changed by asking.
  virtual absl::StatusOr<std::vector<AppliedMigration>> Applied() = 0;

  // In one transaction, under a lock that other processes respect: runs `migration` and writes down that it ran, unless
  // another process has done so meanwhile.
  virtual absl::Status Apply(const Migration& migration) = 0;
};

// Those of `known` that are still to run. FAILED_PRECONDITION if the database has had one that is not in `known`, or in
// another wording.
absl::StatusOr<std::vector<Migration>> PendingMigrations(const std::vector<Migration>& known,
                                                         const std::vector<AppliedMigration>& applied);

// Brings `target` up to `known`; `apply` false: only says what is pending. A migration that fails leaves the database
// as the one before it did.
absl::StatusOr<SchemaStatus> Migrate(SchemaTarget& target, const std::vector<Migration>& known, bool apply);

// As Migrate, but with `create_schema` false a database that is behind is FAILED_PRECONDITION.
absl::Status PrepareSchema(SchemaTarget& target, const std::vector<Migration>& known, bool create_schema);

}  // namespace lifescope
