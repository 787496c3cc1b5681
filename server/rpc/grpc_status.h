// The one place where a Status becomes a grpc::Status.
#pragma once

#include <grpcpp/support/status.h>

#include <cstddef>

#include "absl/status/status.h"

namespace lifescope {

// Error text shares 8 KiB with all other metadata of a call.
inline constexpr size_t kMaxStatusMessageBytes = 1024;

// The same code; the message cut to kMaxStatusMessageBytes, between characters, with "..." at the end.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace lifescope
