// Inputs for readers that open files by their path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "server/dictionary/files/format.h"

namespace lifescope {

// The `count` parts of an input, between lines of "%%"; those that are not there are empty.
std::vector<std::string> PartsOf(const uint8_t* data, size_t size, size_t count);

// Makes these the files of the folder that this process has for them, and returns its path. Each name is written anew
// in every call of a target, so that nothing of the input before is left.
std::string WriteInput(const std::map<std::string, std::string>& files);

// A sound file of torch.save with that pickle; its storages have the keys 0, 1, ...
std::string TorchFileOf(const std::string& pickle, const std::vector<std::string>& storages);

// Imports the folder, which is read or refused; what is read must make a dictionary.
void ImportOrRefuse(const std::string& folder, DictionaryFormat format);

}  // namespace lifescope
