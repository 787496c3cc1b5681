// Conformance: schema changes.
#include <gmock/gmock.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/storage/sample_records.h"
#include "tests/storage/store_conformance.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

std::vector<std::string> Names(const std::vector<Migration>& migrations) {
  std::vector<std::string> names;
  for (const Migration& migration : migrations) names.push_back(migration.name);
  return names;
}

// `migrations` and one more, that runs `sql`.
std::vector<Migration> And(std::vector<Migration> migrations, const std::string& sql) {
  const int32_t version = static_cast<int32_t>(migrations.size()) + 1;
  migrations.push_back({version, absl::StrCat("more_", version), sql, absl::StrCat("sha256 of ", sql)});
  return migrations;
}

int32_t Version(const std::vector<Migration>& migrations) { return static_cast<int32_t>(migrations.size()); }

TEST_P(MigrationConformanceTest, FreshDatabaseHasEverythingPending) {
  const std::vector<Migration> known = database_->KnownMigrations();
  ASSERT_FALSE(known.empty());
  for (int time = 0; time < 2; ++time) {  // asking changes nothing
    const absl::StatusOr<SchemaStatus> schema = MigrateStore(database_->url(), /*apply=*/false);
    ASSERT_EQ(schema.status(), absl::OkStatus());
    EXPECT_EQ(schema->database_version, 0);
    EXPECT_EQ(schema->binary_version, Version(known));
    EXPECT_EQ(schema->pending, Names(known));
  }
}

TEST_P(MigrationConformanceTest, ApplyingTwiceAppliesOnce) {
  const std::vector<Migration> known = database_->KnownMigrations();
  absl::StatusOr<SchemaStatus> schema = MigrateStore(database_->url(), /*apply=*/true);
  ASSERT_EQ(schema.status(), absl::OkStatus());
  EXPECT_EQ(schema->database_version, Version(known));
  EXPECT_EQ(schema->pending, Names(known)) << "what was applied";
  schema = MigrateStore(database_->url(), /*apply=*/true);
  ASSERT_EQ(schema.status(), absl::OkStatus());
  EXPECT_EQ(schema->database_version, Version(known));
  EXPECT_TRUE(schema->pending.empty());
}

TEST_P(MigrationConformanceTest, StoreThatMayNotCreateItsSchemaNeedsOne) {
  StoreOptions check_only;
  check_only.create_schema = false;
  const absl::Status status = OpenStore(database_->url(), check_only).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("lifescoped migrate"));
  ASSERT_EQ(MigrateStore(database_->url(), /*apply=*/true).status(), absl::OkStatus());
  EXPECT_EQ(OpenStore(database_->url(), check_only).status(), absl::OkStatus());
}

TEST_P(MigrationConformanceTest, DatabaseFromEachVersionIsBroughtUpWithItsData) {
  const std::vector<Migration> latest =
      And(And(database_->KnownMigrations(), "CREATE TABLE extra (id BIGINT PRIMARY KEY)"),
          "ALTER TABLE run ADD COLUMN note TEXT; INSERT INTO extra (id) SELECT id FROM run");
  ASSERT_EQ(MigrateStore(database_->url(), /*apply=*/true).status(), absl::OkStatus());
  ASSERT_EQ(Open()->CreateRun(SampleRun(1)), absl::OkStatus());
  for (int32_t version = Version(latest) - 2; version <= Version(latest); ++version) {
    const std::vector<Migration> upto(latest.begin(), latest.begin() + version);
    const absl::StatusOr<SchemaStatus> schema = database_->Migrate(/*apply=*/true, upto);
    ASSERT_EQ(schema.status(), absl::OkStatus());
    EXPECT_EQ(schema->database_version, version);
  }
  // The last one read the row that was there: its key is taken now.
  EXPECT_FALSE(database_->Migrate(/*apply=*/true, And(latest, "INSERT INTO extra (id) SELECT id FROM run")).ok());
}

TEST_P(MigrationConformanceTest, NewerDatabaseIsRefused) {
  const std::vector<Migration> newer = And(database_->KnownMigrations(), "CREATE TABLE extra (id BIGINT PRIMARY KEY)");
  ASSERT_EQ(database_->Migrate(/*apply=*/true, newer).status(), absl::OkStatus());
  for (const absl::Status& status :
       {OpenStore(database_->url()).status(), MigrateStore(database_->url(), /*apply=*/true).status(),
        MigrateStore(database_->url(), /*apply=*/false).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("newer"));
  }
}

TEST_P(MigrationConformanceTest, ChangedMigrationIsRefused) {
  std::vector<Migration> changed = database_->KnownMigrations();
  changed[0].sha256 = "another";
  ASSERT_EQ(database_->Migrate(/*apply=*/true, changed).status(), absl::OkStatus());
  for (const absl::Status& status :
       {OpenStore(database_->url()).status(), MigrateStore(database_->url(), /*apply=*/true).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr(changed[0].name));
  }
}

TEST_P(MigrationConformanceTest, FailedMigrationLeavesTheVersionBefore) {
  const std::vector<Migration> known = database_->KnownMigrations();
  const std::string create = "CREATE TABLE extra (id BIGINT PRIMARY KEY);";
  const absl::Status failed =
      database_->Migrate(/*apply=*/true, And(known, create + "INSERT INTO nowhere VALUES (1);")).status();
  EXPECT_FALSE(failed.ok());
  EXPECT_THAT(std::string(failed.message()), HasSubstr("more_"));
  absl::StatusOr<SchemaStatus> schema = MigrateStore(database_->url(), /*apply=*/false);
  ASSERT_EQ(schema.status(), absl::OkStatus());
  EXPECT_EQ(schema->database_version, Version(known));
  // Nor is its table there, which would be in the way.
  EXPECT_EQ(database_->Migrate(/*apply=*/true, And(known, create)).status(), absl::OkStatus());
}

TEST_P(MigrationConformanceTest, ConcurrentOpensOfAFreshDatabaseAllSucceed) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([this, i] {
      const std::unique_ptr<Store> store = Open();
      ASSERT_NE(store, nullptr);
      EXPECT_EQ(store->CreateRun(SampleRun(i)), absl::OkStatus());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Open()->ListRuns(0, {})->items.size(), 6u);
}

}  // namespace
}  // namespace lifescope
