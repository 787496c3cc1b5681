#include "storage/postgres/connection_pool.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "storage/postgres/connection_url.h"
#include "storage/postgres/pq_status.h"

namespace lifescope {
namespace {

// What the store relies on, whatever the server's defaults: bytes as hex, doubles to the bit, commits on disk before
// they are acknowledged, and no statement that hangs.
constexpr char kSessionSettings[] =
    "SELECT set_config('bytea_output', 'hex', false), set_config('extra_float_digits', '1', false), "
    "CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END, "
    "CASE WHEN current_setting('statement_timeout') = '0' THEN set_config('statement_timeout', '30s', false) END, "
    "CASE WHEN current_setting('lock_timeout') = '0' THEN set_config('lock_timeout', '5s', false) END, "
    "CASE WHEN current_setting('idle_in_transaction_session_timeout') = '0' "
    "THEN set_config('idle_in_transaction_session_timeout', '30s', false) END";

}  // namespace

ConnectionPool::Lease::Lease(ConnectionPool* pool, std::unique_ptr<QuietConnection> connection, absl::Time opened_at,
                             bool fresh)
    : pool_(pool), connection_(std::move(connection)), opened_at_(opened_at), fresh_(fresh) {}

ConnectionPool::Lease::Lease(Lease&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      connection_(std::move(other.connection_)),
      opened_at_(other.opened_at_),
      fresh_(other.fresh_),
      discarded_(other.discarded_) {}

ConnectionPool::Lease::~Lease() {
  if (pool_ != nullptr) pool_->Return(*this);
}

void ConnectionPool::Lease::Discard() {
  discarded_ = true;
  std::vector<Idle> closed;  // outside the lock
  absl::MutexLock lock(&pool_->mutex_);
  closed.swap(pool_->idle_);
}

ConnectionPool::ConnectionPool(ConnectionPoolOptions options) : options_(std::move(options)) {}

bool ConnectionPool::HasRoom() const { return leased_ < options_.size; }

absl::StatusOr<ConnectionPool::Lease> ConnectionPool::Acquire() {
  {
    absl::MutexLock lock(&mutex_);
    if (!mutex_.AwaitWithTimeout(absl::Condition(this, &ConnectionPool::HasRoom), options_.checkout_timeout)) {
      return absl::UnavailableError(absl::StrCat("postgresql: none of the ", options_.size,
                                                 " connections became free within ",
                                                 absl::FormatDuration(options_.checkout_timeout)));
    }
    ++leased_;
    if (!idle_.empty()) {
      Idle idle = std::move(idle_.back());
      idle_.pop_back();
      return Lease(this, std::move(idle.connection), idle.opened_at, /*fresh=*/false);
    }
  }
  absl::StatusOr<Lease> lease = Open();
  if (!lease.ok()) {
    absl::MutexLock lock(&mutex_);
    --leased_;
  }
  return lease;
}

absl::StatusOr<ConnectionPool::Lease> ConnectionPool::Open() {
  try {
    auto connection = std::make_unique<QuietConnection>(WithConnectionDefaults(options_.url));
    pqxx::nontransaction transaction(connection->get());
    transaction.exec(kSessionSettings);
    transaction.commit();
    return Lease(this, std::move(connection), absl::Now(), /*fresh=*/true);
  } catch (const std::exception& error) {
    return PqStatus(error, /*connection_is_open=*/false);
  }
}

void ConnectionPool::Return(Lease& lease) {
  std::unique_ptr<QuietConnection> connection = std::move(lease.connection_);
  const bool is_kept = !lease.discarded_ && absl::Now() - lease.opened_at_ < options_.max_age;
  // A connection that is not kept is closed outside the lock, before another may take its place.
  if (!is_kept) connection.reset();
  absl::MutexLock lock(&mutex_);
  --leased_;
  if (is_kept) idle_.push_back({std::move(connection), lease.opened_at_});
}

}  // namespace lifescope
