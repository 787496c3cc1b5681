#include "storage/postgres/pq_status.h"

#include <gmock/gmock.h>

#include <pqxx/except>
#include <stdexcept>
#include <type_traits>
#include <vector>

namespace lifescope {
namespace {

TEST(PqStatusTest, EverySqlStateHasItsCode) {
  const std::vector<std::pair<const char*, absl::StatusCode>> table = {
      {"23505", absl::StatusCode::kAlreadyExists},       // unique_violation
      {"23503", absl::StatusCode::kFailedPrecondition},  // foreign_key_violation
      {"23502", absl::StatusCode::kInvalidArgument},     // not_null_violation
      {"22021", absl::StatusCode::kInvalidArgument},     // character_not_in_repertoire
      {"40001", absl::StatusCode::kAborted},             // serialization_failure
      {"40P01", absl::StatusCode::kAborted},             // deadlock_detected
      {"55P03", absl::StatusCode::kAborted},             // lock_not_available
      {"40003", absl::StatusCode::kUnknown},             // statement_completion_unknown
      {"53100", absl::StatusCode::kResourceExhausted},   // disk_full
      {"53200", absl::StatusCode::kResourceExhausted},   // out_of_memory
      {"54000", absl::StatusCode::kResourceExhausted},   // program_limit_exceeded
      {"53300", absl::StatusCode::kUnavailable},         // too_many_connections
      {"57P01", absl::StatusCode::kUnavailable},         // admin_shutdown
      {"57P02", absl::StatusCode::kUnavailable},         // crash_shutdown
      {"57P03", absl::StatusCode::kUnavailable},         // cannot_connect_now
      {"57014", absl::StatusCode::kUnavailable},         // query_canceled
      {"08006", absl::StatusCode::kUnavailable},         // connection_failure
      {"25006", absl::StatusCode::kUnavailable},         // read_only_sql_transaction
      {"42501", absl::StatusCode::kPermissionDenied},    // insufficient_privilege
      {"XX001", absl::StatusCode::kDataLoss},            // data_corrupted
      {"42P01", absl::StatusCode::kInternal},            // undefined_table
      {"", absl::StatusCode::kInternal},
  };
  for (const auto& [sqlstate, expected] : table) {
    EXPECT_EQ(StatusCodeOfSqlState(sqlstate), expected) << sqlstate;
    if (*sqlstate == '\0') continue;
    const absl::Status status = PqStatus(pqxx::sql_error("what happened\n", "SELECT secret", sqlstate), true);
    EXPECT_EQ(status.code(), expected) << sqlstate;
    EXPECT_THAT(std::string(status.message()),
                testing::AllOf(testing::HasSubstr("what happened"), testing::HasSubstr(sqlstate),
                               testing::Not(testing::HasSubstr("secret"))));
  }
}

// libpqxx 6 constructs these from a message alone, 7 from a message and a statement.
template <typename Rollback>
Rollback Make() {
  if constexpr (std::is_constructible_v<Rollback, const char*>) {
    return Rollback("x");
  } else {
    return Rollback("x", "q");
  }
}

TEST(PqStatusTest, EveryExceptionHasItsCode) {
  using Code = absl::StatusCode;
  EXPECT_EQ(PqStatus(pqxx::in_doubt_error("x"), false).code(), Code::kUnknown);
  EXPECT_EQ(PqStatus(pqxx::in_doubt_error("x"), true).code(), Code::kUnknown);
  EXPECT_EQ(PqStatus(Make<pqxx::statement_completion_unknown>(), true).code(), Code::kUnknown);
  EXPECT_EQ(PqStatus(pqxx::broken_connection("x"), true).code(), Code::kUnavailable);
  EXPECT_EQ(PqStatus(pqxx::too_many_connections("x"), true).code(), Code::kUnavailable);
  EXPECT_EQ(PqStatus(Make<pqxx::serialization_failure>(), true).code(), Code::kAborted);
  EXPECT_EQ(PqStatus(Make<pqxx::deadlock_detected>(), true).code(), Code::kAborted);
  EXPECT_EQ(PqStatus(pqxx::unique_violation("x", "q", "23505"), true).code(), Code::kAlreadyExists);
  EXPECT_EQ(PqStatus(pqxx::foreign_key_violation("x", "q", "23503"), true).code(), Code::kFailedPrecondition);
  EXPECT_EQ(PqStatus(pqxx::failure("x"), true).code(), Code::kInternal);
  EXPECT_EQ(PqStatus(pqxx::failure("x"), false).code(), Code::kUnavailable) << "libpqxx 6 reports lost servers so";
  EXPECT_EQ(PqStatus(pqxx::usage_error("x"), true).code(), Code::kInternal);
  EXPECT_EQ(PqStatus(std::runtime_error("x"), true).code(), Code::kInternal);
}

TEST(PqStatusTest, MessageIsOneShortLine) {
  const absl::Status status = PqStatus(pqxx::broken_connection("first\nsecond\t" + std::string(5000, 'x')), false);
  EXPECT_LT(status.message().size(), 1024u);
  EXPECT_EQ(std::string(status.message()).find('\n'), std::string::npos);
}

}  // namespace
}  // namespace lifescope
