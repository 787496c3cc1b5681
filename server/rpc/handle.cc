#include "server/rpc/handle.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "server/app/identity.h"
#include "server/app/log.h"
#include "server/rpc/grpc_status.h"

namespace lifescope {
namespace {

constexpr char kPrincipalKey[] = "lifescope-principal";
constexpr char kPushbackKey[] = "grpc-retry-pushback-ms";

LogLevel LevelOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnknown:
      return LogLevel::kError;
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnavailable:
      return LogLevel::kWarning;
    default:
      return LogLevel::kInfo;
  }
}

}  // namespace

absl::Time StartOfCall() { return absl::Now(); }

absl::Status ReadCallContext(const grpc::ServerContext& context, CallContext& call) {
  call.deadline = absl::FromChrono(context.deadline());
  call.cancelled = [&context] { return context.IsCancelled(); };
  const auto principal = context.client_metadata().find(kPrincipalKey);
  if (principal == context.client_metadata().end() || principal->second.empty()) return absl::OkStatus();
  const std::string name(principal->second.data(), principal->second.size());
  const absl::Status plain = CheckPlainText(kPrincipalKey, name);
  if (plain.ok()) call.principal = name;
  return plain;
}

grpc::Status FinishCall(const char* method, const absl::Status& status, const CallContext& call, absl::Time start,
                        grpc::ServerContext& context) {
  const grpc::Status result = ToGrpcStatus(status);
  if (call.retry_after_ms > 0) context.AddTrailingMetadata(kPushbackKey, absl::StrCat(call.retry_after_ms));
  const std::string milliseconds = absl::StrFormat("%.1f", absl::ToDoubleMilliseconds(absl::Now() - start));
  const std::string code = absl::StatusCodeToString(status.code());
  if (status.ok()) {
    Log(LogLevel::kInfo, "call",
        {{"method", method}, {"code", code}, {"ms", milliseconds}, {"principal", call.principal}});
  } else {
    Log(LevelOf(status), "call",
        {{"method", method},
         {"code", code},
         {"ms", milliseconds},
         {"principal", call.principal},
         {"message", result.error_message()}});
  }
  return result;
}

}  // namespace lifescope
