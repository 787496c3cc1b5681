// A connection to a SQLite file, its prepared statements and its transactions.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

struct sqlite3;
struct sqlite3_stmt;

namespace lifescope {

// Marks a parameter as bytes rather than text. Not copied: must outlive the query.
struct SqliteBlob {
  const std::string& bytes;
};

// One connection. Not thread-safe: SqliteDatabase hands it out under its lock.
class SqliteSession {
 public:
  explicit SqliteSession(sqlite3* connection) : connection_(connection) {}
  ~SqliteSession();
  SqliteSession(const SqliteSession&) = delete;
  SqliteSession& operator=(const SqliteSession&) = delete;

  // Runs statements that take no parameters and whose rows nobody reads.
  absl::Status Script(const std::string& sql);
  // Runs one statement to its end; parameters ?1, ?2, ... in order.
  template <typename... Values>
  absl::Status Execute(const char* sql, const Values&... values);
  int64_t LastInsertId() const;

 private:
  friend class SqliteQuery;
  friend class SqliteDatabase;

  absl::StatusOr<sqlite3_stmt*> Prepared(const char* sql);
  absl::Status Error(int code) const;

  sqlite3* connection_;
  // Prepared statements by their text.
  std::unordered_map<std::string, sqlite3_stmt*> statements_;
};

// One run of a prepared statement. At most one at a time per text and session.
//
//   SqliteQuery query(session, "SELECT name FROM artifact WHERE id > ?1", after);
//   while (query.Next()) names.push_back(query.Text(0));
//   return query.status();
class SqliteQuery {
 public:
  SqliteQuery(SqliteSession& session, const char* sql);
  template <typename... Values>
  SqliteQuery(SqliteSession& session, const char* sql, const Values&... values) : SqliteQuery(session, sql) {
    int parameter = 0;
    (Bind(++parameter, values), ...);
  }
  ~SqliteQuery();
  SqliteQuery(const SqliteQuery&) = delete;
  SqliteQuery& operator=(const SqliteQuery&) = delete;

  // Goes to the next row; false at the end and after an error.
  bool Next();
  // The first error, of preparing, binding or running.
  const absl::Status& status() const { return status_; }

  // Columns of the current row, from 0.
  int64_t Int(int column) const;
  double Real(int column) const;
  // Text or blob.
  std::string Text(int column) const;

 private:
  void Bind(int parameter, int64_t value);
  void Bind(int parameter, double value);
  void Bind(int parameter, const std::string& text);
  void Bind(int parameter, const SqliteBlob& blob);
  void Check(int code);

  SqliteSession& session_;
  sqlite3_stmt* statement_ = nullptr;
  absl::Status status_;
};

template <typename... Values>
absl::Status SqliteSession::Execute(const char* sql, const Values&... values) {
  SqliteQuery query(*this, sql, values...);
  while (query.Next()) {
  }
  return query.status();
}

// Thread-safe: one body at a time.
class SqliteDatabase {
 public:
  // `path` ":memory:" is a database of its own. With `create` false a missing file is NOT_FOUND.
  static absl::StatusOr<std::unique_ptr<SqliteDatabase>> Open(const std::string& path, bool create);

  using Body = absl::FunctionRef<absl::Status(SqliteSession&)>;
  // Each statement of `body` sees what is committed when it starts.
  absl::Status Read(Body body) ABSL_LOCKS_EXCLUDED(mutex_);
  // Runs `body` as the only writer of the file, in every process; waits for others at most ten seconds (then ABORTED).
  // Committed durably if `body` returns OK, else undone.
  absl::Status Write(Body body) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  explicit SqliteDatabase(sqlite3* connection) : session_(connection) {}
  absl::Status Configure() ABSL_LOCKS_EXCLUDED(mutex_);

  absl::Mutex mutex_;
  SqliteSession session_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lifescope
