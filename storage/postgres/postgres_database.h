// Transactions on a PostgreSQL database, with every libpqxx exception turned into a status.
#pragma once

#include <pqxx/transaction_base>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "storage/postgres/connection_pool.h"

namespace lifescope {

// Thread-safe. A body may run more than once: when a connection that had been idle turns out to be dead (the server was
// restarted), the whole body runs again on a fresh one, unless its commit had been sent.
class PostgresDatabase {
 public:
  explicit PostgresDatabase(ConnectionPoolOptions options) : pool_(std::move(options)) {}

  using Body = absl::FunctionRef<absl::Status(pqxx::transaction_base&)>;
  // Each statement of `body` is its own transaction.
  absl::Status Read(Body body);
  // Committed durably if `body` returns OK, else rolled back.
  absl::Status Write(Body body);

 private:
  template <typename Transaction>
  absl::Status Run(Body body);

  ConnectionPool pool_;
};

}  // namespace lifescope
