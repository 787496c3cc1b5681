// Writes what torch.save writes, or what somebody who means harm would: records of a zip archive and opcodes of a
// pickle. Standard library only.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lifescope {

using ZipRecords = std::vector<std::pair<std::string, std::string>>;

// A zip archive that stores the records as they are, in their order. The flag lies about compression.
std::string ZipOf(const ZipRecords& records, bool claims_deflate = false);

// Values as opcodes of protocol 2. Each is a piece of a pickle; PickleOf makes a whole one.
std::string PickleInt(int64_t value);
std::string PickleFloat(double value);
std::string PickleString(const std::string& text);
std::string PickleTuple(const std::vector<std::string>& items);
std::string PickleDict(const std::vector<std::pair<std::string, std::string>>& entries);
std::string PickleGlobal(const std::string& module, const std::string& name);
std::string PickleCall(const std::string& callee, const std::string& arguments);
std::string PickleOf(const std::string& value);

// A tensor of an archive: `storage` is "FloatStorage", the record "data/<key>" holds `element_count` elements.
struct PickledTensor {
  std::string storage = "FloatStorage", key = "0";
  int64_t element_count = 0, offset = 0;
  std::vector<int64_t> sizes, strides;
};
std::string PickleTensor(const PickledTensor& tensor);

}  // namespace lifescope
