// Page tokens: opaque to callers, bound to the list they came from.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace lifescope {

// `list` names the list with everything that selects its rows ("runs/kind=2"); `key` is its last row's.
std::string EncodePageToken(const std::string& list, int64_t key);

// The key; kListStart for an empty token. INVALID_ARGUMENT if `token` is none of `list`'s.
absl::StatusOr<int64_t> DecodePageToken(const std::string& list, const std::string& token);

}  // namespace lifescope
