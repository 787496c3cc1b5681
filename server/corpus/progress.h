// What long work says of itself.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace lifescope {

// (done, total) of the current stage, in whatever it counts; total 0 when unknown.
using Progress = std::function<void(const std::string& stage, int64_t done, int64_t total)>;

}  // namespace lifescope
