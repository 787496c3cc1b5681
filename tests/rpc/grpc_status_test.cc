#include "server/rpc/grpc_status.h"

#include <gtest/gtest.h>

#include <string>

namespace lifescope {
namespace {

class GrpcStatusTest : public testing::TestWithParam<absl::StatusCode> {};

TEST_P(GrpcStatusTest, CodesAreTheSameNumbers) {
  const grpc::Status status = ToGrpcStatus(absl::Status(GetParam(), "what happened"));
  EXPECT_EQ(static_cast<int>(status.error_code()), static_cast<int>(GetParam()));
  EXPECT_EQ(status.error_message(), "what happened");
}

INSTANTIATE_TEST_SUITE_P(
    Codes, GrpcStatusTest,
    testing::Values(absl::StatusCode::kCancelled, absl::StatusCode::kUnknown, absl::StatusCode::kInvalidArgument,
                    absl::StatusCode::kDeadlineExceeded, absl::StatusCode::kNotFound, absl::StatusCode::kAlreadyExists,
                    absl::StatusCode::kPermissionDenied, absl::StatusCode::kResourceExhausted,
                    absl::StatusCode::kFailedPrecondition, absl::StatusCode::kAborted, absl::StatusCode::kOutOfRange,
                    absl::StatusCode::kUnimplemented, absl::StatusCode::kInternal, absl::StatusCode::kUnavailable,
                    absl::StatusCode::kDataLoss, absl::StatusCode::kUnauthenticated),
    [](const testing::TestParamInfo<absl::StatusCode>& info) { return absl::StatusCodeToString(info.param); });

TEST(GrpcStatus, OkIsOk) { EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok()); }

TEST(GrpcStatus, LongMessagesAreCutToTheirLimit) {
  const grpc::Status status = ToGrpcStatus(absl::InternalError(std::string(9000, 'a')));
  EXPECT_EQ(status.error_message(), std::string(kMaxStatusMessageBytes - 3, 'a') + "...");
  EXPECT_EQ(ToGrpcStatus(absl::InternalError(std::string(kMaxStatusMessageBytes, 'a'))).error_message(),
            std::string(kMaxStatusMessageBytes, 'a'));
}

TEST(GrpcStatus, NoCharacterIsCutInTwo) {
  std::string text = "a";
  while (text.size() < 9000) text += "ø";
  const std::string message = ToGrpcStatus(absl::InternalError(text)).error_message();
  EXPECT_LE(message.size(), kMaxStatusMessageBytes);
  const std::string kept = message.substr(0, message.size() - 3);
  EXPECT_EQ(kept.substr(kept.size() - 2), "ø");
}

}  // namespace
}  // namespace lifescope
