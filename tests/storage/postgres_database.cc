#include "tests/storage/postgres_database.h"

#include <unistd.h>

#include <cstdlib>
#include <pqxx/nontransaction>

#include "absl/strings/str_cat.h"
#include "storage/postgres/postgres_store.h"
#include "storage/postgres/pqxx_version.h"

namespace lifescope {
namespace {

// `url` with another database's name in the place of its own.
std::string WithDatabase(const std::string& url, const std::string& name) {
  const size_t authority = url.find("://") + 3;
  const size_t path = url.find_first_of("/?", authority);
  const size_t query = url.find('?', authority);
  return absl::StrCat(url.substr(0, path), "/", name, query == std::string::npos ? "" : url.substr(query));
}

void Administer(const std::string& url, const std::string& sql) {
  QuietConnection connection(url);
  pqxx::nontransaction transaction(connection.get());
  transaction.exec(sql);
}

class PostgresTestDatabase : public TestDatabase {
 public:
  explicit PostgresTestDatabase(const std::string& server) : server_(server) {
    static int count = 0;
    name_ = absl::StrCat("lifescope_test_", getpid(), "_", ++count);
    Administer(server_, absl::StrCat("CREATE DATABASE ", name_));
  }
  ~PostgresTestDatabase() override {
    try {
      Administer(server_, absl::StrCat("DROP DATABASE IF EXISTS ", name_, " WITH (FORCE)"));
    } catch (const std::exception& error) {
      ADD_FAILURE() << "could not drop " << name_ << ": " << error.what();
    }
  }

  std::string url() const override { return WithDatabase(server_, name_); }
  std::vector<Migration> KnownMigrations() const override { return PostgresMigrations(); }
  absl::StatusOr<SchemaStatus> Migrate(bool apply, const std::vector<Migration>& migrations) override {
    return MigratePostgres(url(), apply, migrations);
  }

 private:
  std::string server_;
  std::string name_;
};

}  // namespace

std::unique_ptr<TestDatabase> MakePostgresDatabase(std::string& reason) {
  const char* server = std::getenv("LIFESCOPE_TEST_POSTGRES");
  if (server == nullptr || *server == '\0') {
    reason = "LIFESCOPE_TEST_POSTGRES is not set: run under tests/postgres/with_postgres.sh";
    return nullptr;
  }
  try {
    return std::make_unique<PostgresTestDatabase>(server);
  } catch (const std::exception& error) {
    reason = absl::StrCat("the server that LIFESCOPE_TEST_POSTGRES names does not answer: ", error.what());
    return nullptr;
  }
}

}  // namespace lifescope
