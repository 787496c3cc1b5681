#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

namespace lifescope {

// A file of torch.save that holds one dict of tensors, plain values and dicts of plain values, read without executing
// anything. The values of an inner dict are under "<its name>.<their name>", as state_dict names what modules hold.
struct TorchDict {
  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, std::string> texts;
  std::map<std::string, int64_t> integers;
};

// Throws c10::ValueError naming the file and the entry that is none of these, or is there twice; and above 4,096
// entries, or tensors that together are over four times the file (they may share storages).
TorchDict ReadTorchDict(const std::string& path);

}  // namespace lifescope
