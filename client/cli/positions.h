// Positions of a document on the command line: "all", "3,5", "10-20", "event:3", "event:0-2", "cls", and lists of
// these: "cls,event:3,40-42".
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "lifescope/v1/document.pb.h"

namespace lifescope {

// How the options that take positions explain them.
inline constexpr char kPositionsHelp[] = "all | 3,5 | 10-20 (both included) | event:3 | cls, or a list of these";

// "all" gives a message with nothing set. INVALID_ARGUMENT names `option` and the part that is wrong.
absl::StatusOr<v1::Positions> ParsePositions(const std::string& option, const std::string& text);

// The same syntax back.
std::string FormatPositions(const v1::Positions& positions);

}  // namespace lifescope
