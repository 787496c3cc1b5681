// What differs between libpqxx 6.4, 7 and 7.10, in one place.
#pragma once

#include <pqxx/pqxx>
#include <string>

namespace lifescope {

// A connection that tells nobody but its caller: no notices on standard error, and no reconnecting on its own (which
// would silently lose the session's settings).
class QuietConnection {
 public:
  explicit QuietConnection(const std::string& url);

  pqxx::connection& get() { return connection_; }

 private:
  pqxx::connection connection_;
#if PQXX_VERSION_MAJOR < 7 || (PQXX_VERSION_MAJOR == 7 && PQXX_VERSION_MINOR < 10)
  pqxx::quiet_errorhandler quiet_{connection_};
#endif
};

// Runs one statement with parameters $1, $2, ... in order.
template <typename... Values>
pqxx::result Execute(pqxx::transaction_base& transaction, const char* sql, const Values&... values) {
#if PQXX_VERSION_MAJOR < 7 || (PQXX_VERSION_MAJOR == 7 && PQXX_VERSION_MINOR < 10)
  return transaction.exec_params(sql, values...);
#else
  return transaction.exec(sql, pqxx::params(values...));
#endif
}

// COPY of many rows into a table. Without Complete() the transaction cannot be committed.
class CopyWriter {
 public:
  // `columns` as in SQL: "a, b".
  CopyWriter(pqxx::transaction_base& transaction, const std::string& table, const std::string& columns);

  template <typename Tuple>
  void Write(const Tuple& row) {
    stream_ << row;
  }
  void Complete() { stream_.complete(); }

 private:
  pqxx::stream_to stream_;
};

// Bytes as PostgreSQL's text form of bytea ("\x00ff"), the same in every version; `bytea_output` must be hex.
std::string ToBytea(const std::string& bytes);
std::string FromBytea(const pqxx::field& field);

}  // namespace lifescope
