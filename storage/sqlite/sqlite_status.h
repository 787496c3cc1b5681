// The only place that turns a SQLite result code into an absl::Status.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace lifescope {

// `code` is an extended result code other than SQLITE_OK, SQLITE_ROW and SQLITE_DONE.
//   UNIQUE, PRIMARYKEY constraint   ALREADY_EXISTS
//   FOREIGNKEY constraint           FAILED_PRECONDITION
//   any other constraint, MISMATCH  INVALID_ARGUMENT
//   BUSY, LOCKED                    ABORTED (may be retried as a whole)
//   FULL, NOMEM, TOOBIG             RESOURCE_EXHAUSTED
//   CANTOPEN, IOERR, PROTOCOL       UNAVAILABLE
//   PERM, READONLY, AUTH            PERMISSION_DENIED
//   CORRUPT, NOTADB                 DATA_LOSS
//   INTERRUPT                       CANCELLED
//   anything else                   INTERNAL
absl::Status SqliteStatus(int code, const std::string& message);

}  // namespace lifescope
