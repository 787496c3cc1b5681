#include "storage/postgres/postgres_database.h"

#include <pqxx/nontransaction>
#include <pqxx/transaction>

#include "storage/postgres/pq_status.h"

namespace lifescope {
namespace {

template <typename Transaction>
absl::Status RunOnce(ConnectionPool::Lease& lease, PostgresDatabase::Body body) {
  try {
    Transaction transaction(lease.connection());
    absl::Status status = body(transaction);
    if (status.ok()) {
      transaction.commit();
    } else {
      transaction.abort();
    }
    return status;
  } catch (const std::exception& error) {
    absl::Status status = PqStatus(error, lease.connection().is_open());
    // After a statement was refused the connection is as good as before; after anything else nobody knows.
    const bool is_refusal = dynamic_cast<const pqxx::sql_error*>(&error) != nullptr && !absl::IsUnavailable(status);
    if (!is_refusal || !lease.connection().is_open()) lease.Discard();
    return status;
  }
}

}  // namespace

template <typename Transaction>
absl::Status PostgresDatabase::Run(Body body) {
  while (true) {
    absl::StatusOr<ConnectionPool::Lease> lease = pool_.Acquire();
    if (!lease.ok()) return lease.status();
    absl::Status status = RunOnce<Transaction>(*lease, body);
    // UNAVAILABLE means that nothing was committed (else it would be UNKNOWN); each round uses up one old connection.
    if (!absl::IsUnavailable(status) || lease->fresh()) return status;
  }
}

absl::Status PostgresDatabase::Read(Body body) { return Run<pqxx::nontransaction>(body); }

absl::Status PostgresDatabase::Write(Body body) { return Run<pqxx::work>(body); }

}  // namespace lifescope
