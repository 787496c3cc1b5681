// Refuses what this server does not understand: a request made for a newer API would otherwise be answered as if the
// unknown part had not been asked.
#pragma once

#include "absl/status/status.h"
#include "google/protobuf/message.h"

namespace lifescope {

// INVALID_ARGUMENT naming the message's path and the field's number.
absl::Status CheckNoUnknownFields(const google::protobuf::Message& message);

}  // namespace lifescope
