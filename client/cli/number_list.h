// Numbers on the command line: "3,5,10-20".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace lifescope {

struct NumberRange {
  int64_t first = 0;
  int64_t last = 0;  // included
};

// Comma-separated numbers and ranges a-b, both ends included, none negative. INVALID_ARGUMENT names `option` and the
// part that is no such thing. An empty text is an error.
absl::StatusOr<std::vector<NumberRange>> ParseRanges(const std::string& option, const std::string& text);

// The same written out, each at most `largest`. At most a million numbers.
absl::StatusOr<std::vector<int64_t>> ParseNumbers(const std::string& option, const std::string& text, int64_t largest);

// As ParseNumbers, for what the API counts in 32 bits: features, positions, neurons.
absl::StatusOr<std::vector<int32_t>> ParseIndices(const std::string& option, const std::string& text);

}  // namespace lifescope
