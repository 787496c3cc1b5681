// Runs the conformance suite on PostgreSQL.
#include "tests/storage/postgres_database.h"
#include "tests/storage/store_conformance.h"

namespace lifescope {
namespace {

StoreBackend PostgresServer() { return {"Server", MakePostgresDatabase}; }

INSTANTIATE_TEST_SUITE_P(Postgres, StoreConformanceTest, testing::Values(PostgresServer()), BackendName);
INSTANTIATE_TEST_SUITE_P(Postgres, MigrationConformanceTest, testing::Values(PostgresServer()), BackendName);

}  // namespace
}  // namespace lifescope
