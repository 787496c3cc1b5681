// The schema of a PostgreSQL database.
#pragma once

#include <vector>

#include "storage/migration.h"
#include "storage/postgres/postgres_database.h"

namespace lifescope {

class PostgresSchema : public SchemaTarget {
 public:
  // `database` must outlive this.
  explicit PostgresSchema(PostgresDatabase& database) : database_(database) {}

  absl::StatusOr<std::vector<AppliedMigration>> Applied() override;
  absl::Status Apply(const Migration& migration) override;

 private:
  PostgresDatabase& database_;
};

}  // namespace lifescope
