// What names and fingerprints stored things, and which caller-chosen texts may name them.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "google/protobuf/message_lite.h"

namespace lifescope {

// A random (version 4) UUID, "3f2b8c1e-....".
std::string NewUuid();

// The bytes of a message; the same message always gives the same bytes in one build.
std::string DeterministicBytes(const google::protobuf::MessageLite& message);

// INVALID_ARGUMENT naming the field unless `text` has at most 128 bytes and no control characters. Callers' own texts
// pass through here before they reach a database or a log.
absl::Status CheckPlainText(const std::string& field, const std::string& text);

}  // namespace lifescope
