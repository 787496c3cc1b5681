// PostgreSQL connections: the pool, and servers that go away.
#include <gmock/gmock.h>

#include <pqxx/nontransaction>
#include <thread>

#include "absl/strings/str_cat.h"
#include "storage/postgres/connection_pool.h"
#include "storage/postgres/connection_url.h"
#include "tests/storage/postgres_database.h"
#include "tests/storage/sample_records.h"

namespace lifescope {
namespace {

class PostgresConnectionTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    database_ = MakePostgresDatabase(reason);
    if (database_ == nullptr) SkipOrFail(reason);
  }

  ConnectionPoolOptions Options(int32_t size, absl::Duration checkout_timeout) const {
    ConnectionPoolOptions options;
    options.url = database_->url();
    options.size = size;
    options.checkout_timeout = checkout_timeout;
    return options;
  }

  // Ends every other session on the database, as a restart of the server would.
  void TerminateOthers() {
    QuietConnection connection(database_->url());
    pqxx::nontransaction transaction(connection.get());
    transaction.exec(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()");
  }

  std::unique_ptr<TestDatabase> database_;
};

std::string Ask(pqxx::connection& connection, const std::string& sql) {
  pqxx::nontransaction transaction(connection);
  return transaction.exec(sql)[0][0].c_str();
}

TEST_F(PostgresConnectionTest, PoolReusesConnections) {
  ConnectionPool pool(Options(2, absl::Seconds(10)));
  std::string first;
  {
    absl::StatusOr<ConnectionPool::Lease> lease = pool.Acquire();
    ASSERT_EQ(lease.status(), absl::OkStatus());
    EXPECT_TRUE(lease->fresh());
    first = Ask(lease->connection(), "SELECT pg_backend_pid()");
  }
  {
    absl::StatusOr<ConnectionPool::Lease> lease = pool.Acquire();
    EXPECT_FALSE(lease->fresh());
    EXPECT_EQ(Ask(lease->connection(), "SELECT pg_backend_pid()"), first);
    lease->Discard();
  }
  absl::StatusOr<ConnectionPool::Lease> lease = pool.Acquire();
  EXPECT_TRUE(lease->fresh());
}

TEST_F(PostgresConnectionTest, PoolThatIsAllOutIsUnavailable) {
  ConnectionPool pool(Options(2, absl::Milliseconds(20)));
  absl::StatusOr<ConnectionPool::Lease> first = pool.Acquire();
  absl::StatusOr<ConnectionPool::Lease> second = pool.Acquire();
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(pool.Acquire().status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(PostgresConnectionTest, PoolNeverHasMoreThanItsSize) {
  ConnectionPool pool(Options(3, absl::Seconds(60)));
  absl::Mutex mutex;
  int out = 0;
  int most_out = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 10; ++k) {
        absl::StatusOr<ConnectionPool::Lease> lease = pool.Acquire();
        ASSERT_EQ(lease.status(), absl::OkStatus());
        {
          absl::MutexLock lock(&mutex);
          most_out = std::max(most_out, ++out);
        }
        Ask(lease->connection(), "SELECT 1");
        absl::MutexLock lock(&mutex);
        --out;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(most_out, 1);
  EXPECT_LE(most_out, 3);
}

TEST_F(PostgresConnectionTest, OldConnectionsAreReplaced) {
  ConnectionPoolOptions options = Options(1, absl::Seconds(10));
  options.max_age = absl::ZeroDuration();
  ConnectionPool pool(options);
  EXPECT_TRUE(pool.Acquire()->fresh());
  EXPECT_TRUE(pool.Acquire()->fresh());
}

TEST_F(PostgresConnectionTest, SessionsHaveTheSettingsThatTheStoreReliesOn) {
  {
    QuietConnection connection(database_->url());
    pqxx::nontransaction transaction(connection.get());
    const std::string name = transaction.exec("SELECT current_database()")[0][0].c_str();
    for (const char* setting :
         {"bytea_output = escape", "synchronous_commit = off", "extra_float_digits = 0", "statement_timeout = '7s'"}) {
      transaction.exec(absl::StrCat("ALTER DATABASE ", name, " SET ", setting));
    }
  }
  ConnectionPool pool(Options(1, absl::Seconds(10)));
  absl::StatusOr<ConnectionPool::Lease> lease = pool.Acquire();
  ASSERT_EQ(lease.status(), absl::OkStatus());
  EXPECT_EQ(Ask(lease->connection(), "SHOW bytea_output"), "hex");
  EXPECT_EQ(Ask(lease->connection(), "SHOW synchronous_commit"), "on");
  EXPECT_EQ(Ask(lease->connection(), "SHOW extra_float_digits"), "1");
  EXPECT_EQ(Ask(lease->connection(), "SHOW statement_timeout"), "7s") << "the administrator's own limit stays";
  EXPECT_EQ(Ask(lease->connection(), "SHOW lock_timeout"), "5s");
  EXPECT_EQ(Ask(lease->connection(), "SHOW application_name"), "lifescope");
}

TEST_F(PostgresConnectionTest, StoreOutlivesLostConnections) {
  const std::unique_ptr<Store> store = *OpenStore(database_->url());
  std::vector<std::thread> threads;  // so that several connections wait in the pool
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] { EXPECT_EQ(store->CreateRun(SampleRun(i)), absl::OkStatus()); });
  }
  for (std::thread& thread : threads) thread.join();
  TerminateOthers();
  EXPECT_EQ(*store->GetRun(SampleRun(1).run_id), SampleRun(1)) << "a read reconnects";
  TerminateOthers();
  EXPECT_EQ(store->CreateRun(SampleRun(4)), absl::OkStatus()) << "so does a write";
  TerminateOthers();
  const SampleIndex sample = MakeSampleIndex("index-1", 9, 2);
  EXPECT_EQ(store->CreateFeatureIndex(sample.index, sample.features, sample.examples), absl::OkStatus());
  EXPECT_EQ(store->ListRuns(0, {})->items.size(), 5u);
}

TEST(PostgresUrlTest, ServerThatIsNotThereIsUnavailable) {
  const std::string url = "postgresql://someone:hunter2@/nowhere?host=/no/such/folder";
  for (const absl::Status& status : {OpenStore(url).status(), MigrateStore(url, true).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(status.message()), testing::Not(testing::HasSubstr("hunter2")));
  }
}

TEST(PostgresUrlTest, DefaultsAreAddedWhereTheUrlIsSilent) {
  EXPECT_THAT(WithConnectionDefaults("postgresql://a@b/c"),
              testing::StartsWith("postgresql://a@b/c?connect_timeout=5&keepalives=1&"));
  const std::string own = WithConnectionDefaults("postgresql:///c?host=/tmp&connect_timeout=60&application_name=mine");
  EXPECT_THAT(own, testing::HasSubstr("&tcp_user_timeout=15000"));
  EXPECT_THAT(own, testing::Not(testing::HasSubstr("connect_timeout=5")));
  EXPECT_THAT(own, testing::Not(testing::HasSubstr("application_name=lifescope")));
  EXPECT_THAT(WithConnectionDefaults("postgresql:///c?"), testing::StartsWith("postgresql:///c?connect_timeout=5&"));
}

}  // namespace
}  // namespace lifescope
