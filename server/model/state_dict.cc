#include "server/model/state_dict.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace lifescope {
namespace {

constexpr const char* kLossWeights[] = {"sop_weight", "mlm_weight", "sop_class_weight", "sop_loss.weight", "cls_w",
                                        "mlm_w",      "cls_a",      "cls_loss.weight"};
constexpr std::string_view kSop = "sop_decoder.", kCls = "cls_decoder.";

}  // namespace

void StateDict::Add(const std::string& name_in_file, std::function<at::Tensor()> read) {
  const bool is_cls = name_in_file.compare(0, kCls.size(), kCls) == 0;
  const std::string name = is_cls ? std::string(kSop) + name_in_file.substr(kCls.size()) : name_in_file;
  const auto [added, is_new] = tensors.emplace(name, StoredTensor{name_in_file, std::move(read)});
  TORCH_CHECK_VALUE(is_new, path, ": tensors '", added->second.name_in_file, "' and '", name_in_file,
                    "' are the same one, expected one of them");
}

std::string StateDict::Where(const std::string& name) const {
  const auto found = tensors.find(name);
  return path + ": tensor '" + (found == tensors.end() ? name : found->second.name_in_file) + "'";
}

at::Tensor StateDict::Read(const std::string& name) const {
  const auto found = tensors.find(name);
  TORCH_CHECK_VALUE(found != tensors.end(), Where(name), " is missing");
  return found->second.read();
}

StateDict StateDictOf(const SafetensorsFile& file) {
  StateDict state;
  state.path = file.path();
  for (const std::string& name : file.names()) {
    state.Add(name, [&file, name] { return file.Read(name); });
  }
  return state;
}

bool IsLossWeight(const std::string& name) {
  return std::find(std::begin(kLossWeights), std::end(kLossWeights), name) != std::end(kLossWeights);
}

}  // namespace lifescope
