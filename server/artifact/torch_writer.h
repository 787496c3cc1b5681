// Writes what torch.save writes: opcodes of a pickle, which lies with the tensors' storages in a zip archive. Standard
// library only; WriteTorchFile (torch_file.h) takes tensors.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "server/artifact/zip_writer.h"

namespace lifescope {

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
