#include "storage/sqlite/sqlite_status.h"

#include <gmock/gmock.h>
#include <sqlite3.h>

#include <vector>

namespace lifescope {
namespace {

TEST(SqliteStatusTest, EveryCodeHasItsStatus) {
  const std::vector<std::pair<int, absl::StatusCode>> table = {
      {SQLITE_CONSTRAINT_UNIQUE, absl::StatusCode::kAlreadyExists},
      {SQLITE_CONSTRAINT_PRIMARYKEY, absl::StatusCode::kAlreadyExists},
      {SQLITE_CONSTRAINT_ROWID, absl::StatusCode::kAlreadyExists},
      {SQLITE_CONSTRAINT_FOREIGNKEY, absl::StatusCode::kFailedPrecondition},
      {SQLITE_CONSTRAINT_NOTNULL, absl::StatusCode::kInvalidArgument},
      {SQLITE_CONSTRAINT_CHECK, absl::StatusCode::kInvalidArgument},
      {SQLITE_CONSTRAINT_DATATYPE, absl::StatusCode::kInvalidArgument},
      {SQLITE_MISMATCH, absl::StatusCode::kInvalidArgument},
      {SQLITE_BUSY, absl::StatusCode::kAborted},
      {SQLITE_BUSY_SNAPSHOT, absl::StatusCode::kAborted},
      {SQLITE_LOCKED, absl::StatusCode::kAborted},
      {SQLITE_FULL, absl::StatusCode::kResourceExhausted},
      {SQLITE_NOMEM, absl::StatusCode::kResourceExhausted},
      {SQLITE_TOOBIG, absl::StatusCode::kResourceExhausted},
      {SQLITE_CANTOPEN, absl::StatusCode::kUnavailable},
      {SQLITE_IOERR_FSYNC, absl::StatusCode::kUnavailable},
      {SQLITE_PROTOCOL, absl::StatusCode::kUnavailable},
      {SQLITE_PERM, absl::StatusCode::kPermissionDenied},
      {SQLITE_READONLY_DBMOVED, absl::StatusCode::kPermissionDenied},
      {SQLITE_AUTH, absl::StatusCode::kPermissionDenied},
      {SQLITE_CORRUPT_INDEX, absl::StatusCode::kDataLoss},
      {SQLITE_NOTADB, absl::StatusCode::kDataLoss},
      {SQLITE_INTERRUPT, absl::StatusCode::kCancelled},
      {SQLITE_MISUSE, absl::StatusCode::kInternal},
      {SQLITE_ERROR, absl::StatusCode::kInternal},
  };
  for (const auto& [code, expected] : table) {
    const absl::Status status = SqliteStatus(code, "what happened");
    EXPECT_EQ(status.code(), expected) << code;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("what happened"));
  }
}

}  // namespace
}  // namespace lifescope
