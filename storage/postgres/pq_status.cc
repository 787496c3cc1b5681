#include "storage/postgres/pq_status.h"

#include <pqxx/except>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace lifescope {
namespace {

// Status messages travel in headers of a few KiB.
constexpr size_t kMaxMessageBytes = 512;

absl::Status Make(absl::StatusCode code, const std::exception& error, const std::string& sqlstate = "") {
  std::string text = error.what();
  absl::StripAsciiWhitespace(&text);
  text = absl::StrReplaceAll(text, {{"\n", " "}, {"\t", " "}}).substr(0, kMaxMessageBytes);
  return absl::Status(code, sqlstate.empty() ? absl::StrCat("postgresql: ", text)
                                             : absl::StrCat("postgresql: ", text, " (sqlstate ", sqlstate, ")"));
}

template <typename T>
bool Is(const std::exception& error) {
  return dynamic_cast<const T*>(&error) != nullptr;
}

}  // namespace

absl::StatusCode StatusCodeOfSqlState(const std::string& sqlstate) {
  if (sqlstate == "23505") return absl::StatusCode::kAlreadyExists;
  if (sqlstate == "23503") return absl::StatusCode::kFailedPrecondition;
  if (sqlstate == "40003") return absl::StatusCode::kUnknown;
  if (sqlstate == "55P03") return absl::StatusCode::kAborted;
  if (sqlstate == "53300" || sqlstate == "25006") return absl::StatusCode::kUnavailable;
  if (sqlstate == "42501") return absl::StatusCode::kPermissionDenied;
  if (sqlstate == "XX001" || sqlstate == "XX002") return absl::StatusCode::kDataLoss;
  const std::string sqlstate_class = sqlstate.substr(0, 2);
  if (sqlstate_class == "22" || sqlstate_class == "23") return absl::StatusCode::kInvalidArgument;
  if (sqlstate_class == "40") return absl::StatusCode::kAborted;
  if (sqlstate_class == "53" || sqlstate_class == "54") return absl::StatusCode::kResourceExhausted;
  if (sqlstate_class == "08" || sqlstate_class == "57") return absl::StatusCode::kUnavailable;
  return absl::StatusCode::kInternal;
}

absl::Status PqStatus(const std::exception& error, bool connection_is_open) {
  if (Is<pqxx::in_doubt_error>(error) || Is<pqxx::statement_completion_unknown>(error)) {
    return Make(absl::StatusCode::kUnknown, error);
  }
  if (Is<pqxx::broken_connection>(error)) return Make(absl::StatusCode::kUnavailable, error);
  // In libpqxx 6 these carry no SQLSTATE.
  if (Is<pqxx::transaction_rollback>(error)) return Make(absl::StatusCode::kAborted, error);
  const auto* sql_error = dynamic_cast<const pqxx::sql_error*>(&error);
  if (sql_error != nullptr && !sql_error->sqlstate().empty()) {
    return Make(StatusCodeOfSqlState(sql_error->sqlstate()), error, sql_error->sqlstate());
  }
  return Make(connection_is_open ? absl::StatusCode::kInternal : absl::StatusCode::kUnavailable, error);
}

}  // namespace lifescope
