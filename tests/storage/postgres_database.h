// Databases on the PostgreSQL server that LIFESCOPE_TEST_POSTGRES names (tests/postgres/with_postgres.sh sets it).
#pragma once

#include <memory>
#include <string>

#include "tests/storage/store_conformance.h"

namespace lifescope {

// A new database on the server; null with a reason where there is no server.
std::unique_ptr<TestDatabase> MakePostgresDatabase(std::string& reason);

}  // namespace lifescope
