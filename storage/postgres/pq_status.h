// The only place that turns a libpqxx exception into an absl::Status.
#pragma once

#include <exception>
#include <string>

#include "absl/status/status.h"

namespace lifescope {

// By SQLSTATE (the code that PostgreSQL gives with an error).
//   23505 unique_violation                      ALREADY_EXISTS
//   23503 foreign_key_violation                 FAILED_PRECONDITION
//   22..., other 23...                          INVALID_ARGUMENT
//   40003 statement_completion_unknown          UNKNOWN
//   other 40..., 55P03 lock timeout             ABORTED (may be retried as a whole)
//   53300 too many connections                  UNAVAILABLE
//   other 53..., 54...                          RESOURCE_EXHAUSTED
//   08..., 57..., 25006 (read-only stand-by)    UNAVAILABLE
//   42501 insufficient_privilege                PERMISSION_DENIED
//   XX001, XX002 corrupted                      DATA_LOSS
//   anything else                               INTERNAL
absl::StatusCode StatusCodeOfSqlState(const std::string& sqlstate);

// What libpqxx threw. An in-doubt commit is UNKNOWN, a broken connection UNAVAILABLE, an SQL error as above.
// `connection_is_open`: after the exception; libpqxx 6 reports some lost connections as plain failures.
absl::Status PqStatus(const std::exception& error, bool connection_is_open);

}  // namespace lifescope
