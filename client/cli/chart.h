// Numbers as little pictures of Unicode blocks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lifescope {

// `fraction` of `width` columns in eighths of a block, clamped to [0, 1]; a fraction above 0 shows at least ▏.
std::string Bar(double fraction, int width);

// One block per count, of height log(1 + count) over that of the largest; "·" where nothing was counted.
std::string LogSparkline(const std::vector<int64_t>& counts);

}  // namespace lifescope
