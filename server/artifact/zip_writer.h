// Writes zip archives. Standard library only.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace lifescope {

// Name and bytes.
using ZipRecords = std::vector<std::pair<std::string, std::string>>;

// A zip archive that stores the records as they are, in their order; the bytes of each begin at a multiple of
// `alignment`. Throws std::invalid_argument above what the format holds without its 64-bit extension: 4 GiB and 65,535
// records.
std::string ZipOf(const ZipRecords& records, size_t alignment = 1);

}  // namespace lifescope
