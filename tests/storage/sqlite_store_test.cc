// Runs the conformance suite on SQLite: on a file, since ":memory:" is private to one connection and would make the
// laws of concurrency and durability mean nothing.
#include "storage/sqlite/sqlite_store.h"

#include "tests/storage/store_conformance.h"
#include "tests/storage/temporary_folder.h"

namespace lifescope {
namespace {

class SqliteTestDatabase : public TestDatabase {
 public:
  std::string url() const override { return "sqlite:" + path(); }
  std::vector<Migration> KnownMigrations() const override { return SqliteMigrations(); }
  absl::StatusOr<SchemaStatus> Migrate(bool apply, const std::vector<Migration>& migrations) override {
    return MigrateSqlite(path(), apply, migrations);
  }

 private:
  std::string path() const { return (folder_.path() / "store.sqlite").string(); }

  TemporaryFolder folder_;
};

StoreBackend SqliteFile() {
  return {"File", [](std::string&) { return std::make_unique<SqliteTestDatabase>(); }};
}

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreConformanceTest, testing::Values(SqliteFile()), BackendName);
INSTANTIATE_TEST_SUITE_P(Sqlite, MigrationConformanceTest, testing::Values(SqliteFile()), BackendName);

}  // namespace
}  // namespace lifescope
