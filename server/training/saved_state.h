// What a trainer keeps in order to go on to the bit: named tensors, as safetensors files hold them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "server/artifact/safetensors.h"
#include "server/corpus/random.h"

namespace lifescope {

using SavedState = std::map<std::string, at::Tensor>;

at::Tensor Int64Tensor(const std::vector<int64_t>& values);
// The generator's words keep their bits in signed integers.
at::Tensor ToTensor(const Random& random);

// Each throws c10::ValueError naming the tensor that is missing or does not fit.
const at::Tensor& SavedTensor(const SavedState& state, const std::string& name, at::ScalarType dtype);
std::vector<int64_t> Int64Values(const SavedState& state, const std::string& name, size_t size);
Random::State RandomStateOf(const SavedState& state, const std::string& name);
// An order of the documents `known`.
std::vector<int64_t> OrderOf(const SavedState& state, const std::string& name, std::vector<int64_t> known);

// Every tensor of a file.
SavedState ReadState(const SafetensorsFile& file);

// The entries whose name starts with `prefix`, without it; and the other way round.
SavedState Under(const std::string& prefix, const SavedState& state);
void PutUnder(const std::string& prefix, const SavedState& part, SavedState& state);

}  // namespace lifescope
