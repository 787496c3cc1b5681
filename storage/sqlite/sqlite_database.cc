#include "storage/sqlite/sqlite_database.h"

#include <sqlite3.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "storage/sqlite/sqlite_status.h"

namespace lifescope {
namespace {

constexpr int kBusyTimeoutMs = 10'000;
constexpr int kWalRetryMs = 20;

}  // namespace

SqliteSession::~SqliteSession() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(connection_);
}

absl::Status SqliteSession::Error(int code) const { return SqliteStatus(code, sqlite3_errmsg(connection_)); }

absl::Status SqliteSession::Script(const std::string& sql) {
  const int code = sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code);
}

int64_t SqliteSession::LastInsertId() const { return sqlite3_last_insert_rowid(connection_); }

absl::StatusOr<sqlite3_stmt*> SqliteSession::Prepared(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement != nullptr) return statement;
  const int code = sqlite3_prepare_v3(connection_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return Error(code);
  return statement;
}

SqliteQuery::SqliteQuery(SqliteSession& session, const char* sql) : session_(session) {
  const absl::StatusOr<sqlite3_stmt*> statement = session.Prepared(sql);
  if (statement.ok()) {
    statement_ = *statement;
  } else {
    status_ = statement.status();
  }
}

SqliteQuery::~SqliteQuery() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

void SqliteQuery::Check(int code) {
  if (code != SQLITE_OK && status_.ok()) status_ = session_.Error(code);
}

void SqliteQuery::Bind(int parameter, int64_t value) {
  if (status_.ok()) Check(sqlite3_bind_int64(statement_, parameter, value));
}

void SqliteQuery::Bind(int parameter, double value) {
  if (status_.ok()) Check(sqlite3_bind_double(statement_, parameter, value));
}

void SqliteQuery::Bind(int parameter, const std::string& text) {
  if (!status_.ok()) return;
  Check(sqlite3_bind_text64(statement_, parameter, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}

void SqliteQuery::Bind(int parameter, const SqliteBlob& blob) {
  if (!status_.ok()) return;
  Check(sqlite3_bind_blob64(statement_, parameter, blob.bytes.data(), blob.bytes.size(), SQLITE_STATIC));
}

bool SqliteQuery::Next() {
  if (!status_.ok()) return false;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) status_ = session_.Error(code);
  return false;
}

int64_t SqliteQuery::Int(int column) const { return sqlite3_column_int64(statement_, column); }

double SqliteQuery::Real(int column) const { return sqlite3_column_double(statement_, column); }

std::string SqliteQuery::Text(int column) const {
  // The blob is asked for first: it is the call that may convert, which changes the length.
  const void* data = sqlite3_column_blob(statement_, column);
  const int bytes = sqlite3_column_bytes(statement_, column);
  return bytes == 0 ? std::string() : std::string(static_cast<const char*>(data), static_cast<size_t>(bytes));
}

absl::StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(const std::string& path, bool create) {
  std::error_code ignored;
  if (!create && !std::filesystem::exists(path, ignored)) {
    return absl::NotFoundError(absl::StrCat("database file ", path, " does not exist"));
  }
  sqlite3* connection = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
  const int code = sqlite3_open_v2(path.c_str(), &connection, flags, nullptr);
  // Owns the connection even when it could not be opened.
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(connection));
  absl::Status status = absl::OkStatus();
  if (code != SQLITE_OK) {
    status = SqliteStatus(code, connection == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(connection));
  } else {
    status = database->Configure();
  }
  if (status.ok()) return database;
  return absl::Status(status.code(), absl::StrCat("database file ", path, ": ", std::string(status.message())));
}

absl::Status SqliteDatabase::Configure() {
  absl::MutexLock lock(&mutex_);
  sqlite3_extended_result_codes(session_.connection_, 1);
  sqlite3_busy_timeout(session_.connection_, kBusyTimeoutMs);
  std::string mode;
  for (int waited_ms = 0;; waited_ms += kWalRetryMs) {
    SqliteQuery query(session_, "PRAGMA journal_mode=WAL");
    if (query.Next()) mode = query.Text(0);
    if (query.status().ok()) break;
    // The switch to WAL needs the file alone and does not use the busy timeout: processes that open a new file together
    // take turns here.
    if (!absl::IsAborted(query.status()) || waited_ms >= kBusyTimeoutMs) return query.status();
    sqlite3_sleep(kWalRetryMs);
  }
  if (mode != "wal" && mode != "memory") {
    return absl::FailedPreconditionError(
        absl::StrCat("found journal mode ", mode, ", expected wal: the file system does not support it"));
  }
  return session_.Script("PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;");
}

absl::Status SqliteDatabase::Read(Body body) {
  absl::MutexLock lock(&mutex_);
  return body(session_);
}

absl::Status SqliteDatabase::Write(Body body) {
  absl::MutexLock lock(&mutex_);
  absl::Status status = session_.Execute("BEGIN IMMEDIATE");
  if (!status.ok()) return status;
  status = body(session_);
  if (status.ok()) status = session_.Execute("COMMIT");
  // Some errors have undone the transaction already.
  if (!status.ok() && sqlite3_get_autocommit(session_.connection_) == 0) session_.Script("ROLLBACK").IgnoreError();
  return status;
}

}  // namespace lifescope
