// A bounded set of connections to one PostgreSQL database.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "storage/postgres/pqxx_version.h"

namespace lifescope {

struct ConnectionPoolOptions {
  std::string url;
  // Connections at most; opened when first needed.
  int32_t size = 8;
  // How long a call waits for one of them.
  absl::Duration checkout_timeout = absl::Seconds(10);
  // Older connections are replaced, so that a load balancer or a fail-over takes hold.
  absl::Duration max_age = absl::Minutes(30);
};

// Thread-safe. Must outlive its leases.
class ConnectionPool {
 public:
  // A connection, for one thread at a time; goes back to the pool with the lease.
  class Lease {
   public:
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&&) = delete;
    ~Lease();

    pqxx::connection& connection() { return connection_->get(); }
    // Opened for this lease, so that its failure says something about the server as it is now.
    bool fresh() const { return fresh_; }
    // Closes the connection with the lease, and those that wait in the pool now.
    void Discard();

   private:
    friend class ConnectionPool;
    Lease(ConnectionPool* pool, std::unique_ptr<QuietConnection> connection, absl::Time opened_at, bool fresh);

    ConnectionPool* pool_;
    std::unique_ptr<QuietConnection> connection_;
    absl::Time opened_at_;
    bool fresh_;
    bool discarded_ = false;
  };

  explicit ConnectionPool(ConnectionPoolOptions options);

  // Waits for a free connection, or opens one. UNAVAILABLE if none becomes free in time or the server cannot be
  // reached.
  absl::StatusOr<Lease> Acquire() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Idle {
    std::unique_ptr<QuietConnection> connection;
    absl::Time opened_at;
  };

  absl::StatusOr<Lease> Open();
  void Return(Lease& lease) ABSL_LOCKS_EXCLUDED(mutex_);
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Constant after construction.
  const ConnectionPoolOptions options_;

  absl::Mutex mutex_;
  std::vector<Idle> idle_ ABSL_GUARDED_BY(mutex_);
  int32_t leased_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace lifescope
