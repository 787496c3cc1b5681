// The schema of a SQLite file.
#pragma once

#include <vector>

#include "storage/migration.h"
#include "storage/sqlite/sqlite_database.h"

namespace lifescope {

class SqliteSchema : public SchemaTarget {
 public:
  // `database` must outlive this.
  explicit SqliteSchema(SqliteDatabase& database) : database_(database) {}

  absl::StatusOr<std::vector<AppliedMigration>> Applied() override;
  absl::Status Apply(const Migration& migration) override;

 private:
  SqliteDatabase& database_;
};

}  // namespace lifescope
