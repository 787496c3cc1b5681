// Messages from and to JSON, strictly.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/terminal.h"
#include "google/protobuf/message.h"
#include "nlohmann/json.hpp"

namespace lifescope {

// The text of a file; "-" is standard input. INVALID_ARGUMENT names what cannot be read.
absl::StatusOr<std::string> ReadInput(const std::string& path);

// INVALID_ARGUMENT with `source` (a file name), line and column, where `text` is not JSON, and naming the key that
// occurs twice in an object.
absl::StatusOr<nlohmann::json> ParseJson(const std::string& source, const std::string& text);

// Fills `message` from JSON as protobuf writes it (snake_case or camelCase). INVALID_ARGUMENT with `source` and the
// path of the field that is unknown or of another type: "plan.json: run.reads[0]: no field 'hook_pont'".
absl::Status FromJson(const std::string& source, const nlohmann::json& json, google::protobuf::Message& message);

// Prints `message` as indented JSON, fields at their defaults included.
absl::Status PrintJson(const google::protobuf::Message& message, Terminal& terminal);

}  // namespace lifescope
