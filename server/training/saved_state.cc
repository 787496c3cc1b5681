#include "server/training/saved_state.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>

namespace lifescope {

at::Tensor Int64Tensor(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong); }

at::Tensor ToTensor(const Random& random) {
  const Random::State words = random.state();
  return Int64Tensor({words.begin(), words.end()});
}

const at::Tensor& SavedTensor(const SavedState& state, const std::string& name, at::ScalarType dtype) {
  const auto found = state.find(name);
  TORCH_CHECK_VALUE(found != state.end(), "saved state: no tensor '", name, "'");
  TORCH_CHECK_VALUE(found->second.scalar_type() == dtype, "saved state: '", name, "' is ", found->second.scalar_type(),
                    ", expected ", dtype);
  return found->second;
}

std::vector<int64_t> Int64Values(const SavedState& state, const std::string& name, size_t size) {
  const at::Tensor tensor = SavedTensor(state, name, at::kLong).contiguous();
  TORCH_CHECK_VALUE(tensor.numel() == static_cast<int64_t>(size), "saved state: '", name, "' holds ", tensor.numel(),
                    " values, expected ", size);
  const int64_t* data = tensor.data_ptr<int64_t>();
  return {data, data + size};
}

Random::State RandomStateOf(const SavedState& state, const std::string& name) {
  Random::State random;
  const std::vector<int64_t> words = Int64Values(state, name, random.size());
  std::copy(words.begin(), words.end(), random.begin());
  return random;
}

std::vector<int64_t> OrderOf(const SavedState& state, const std::string& name, std::vector<int64_t> known) {
  const std::vector<int64_t> order = Int64Values(state, name, known.size());
  std::vector<int64_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  std::sort(known.begin(), known.end());
  TORCH_CHECK_VALUE(sorted == known, "saved state: '", name, "' are those of another corpus");
  return order;
}

SavedState ReadState(const SafetensorsFile& file) {
  SavedState state;
  for (const std::string& name : file.names()) state[name] = file.Read(name);
  return state;
}

SavedState Under(const std::string& prefix, const SavedState& state) {
  SavedState part;
  for (const auto& [name, tensor] : state) {
    if (name.compare(0, prefix.size(), prefix) == 0) part[name.substr(prefix.size())] = tensor;
  }
  return part;
}

void PutUnder(const std::string& prefix, const SavedState& part, SavedState& state) {
  for (const auto& [name, tensor] : part) state[prefix + name] = tensor;
}

}  // namespace lifescope
