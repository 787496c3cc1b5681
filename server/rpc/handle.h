// The one wrapper through which every method goes: it measures, logs one line, catches what must never escape and
// converts to grpc::Status.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/app/app.h"
#include "server/app/engine_status.h"

namespace lifescope {

// What the caller's context says: principal (metadata "lifescope-principal"), deadline, cancellation. INVALID_ARGUMENT
// on a principal that is not plain text.
absl::Status ReadCallContext(const grpc::ServerContext& context, CallContext& call);

// Converts, logs and adds the retry hint of a refused call.
grpc::Status FinishCall(const char* method, const absl::Status& status, const CallContext& call, absl::Time start,
                        grpc::ServerContext& context);

absl::Time StartOfCall();

// Runs `body` (CallContext& -> absl::Status).
template <typename Body>
grpc::Status Handle(const char* method, grpc::ServerContext* context, Body&& body) {
  const absl::Time start = StartOfCall();
  CallContext call;
  absl::Status status = ReadCallContext(*context, call);
  if (status.ok()) status = CatchEngineErrors([&] { return std::forward<Body>(body)(call); });
  return FinishCall(method, status, call, start, *context);
}

}  // namespace lifescope
