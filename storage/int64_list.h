// Lists of integers as text: "[1,2]" is a JSON array, "{1,2}" a PostgreSQL one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace lifescope {

std::string FormatInt64List(const std::vector<int64_t>& values, char open, char close);

// DATA_LOSS if `text` is not such a list.
absl::StatusOr<std::vector<int64_t>> ParseInt64List(const std::string& text, char open, char close);

}  // namespace lifescope
