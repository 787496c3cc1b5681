#include "server/artifact/torch_writer.h"

#include <bit>

namespace lifescope {
namespace {

std::string Little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string Integers(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (const int64_t value : values) items.push_back(PickleInt(value));
  return PickleTuple(items);
}

}  // namespace

std::string PickleInt(int64_t value) { return std::string("\x8a\x08") + Little(static_cast<uint64_t>(value), 8); }

std::string PickleFloat(double value) {
  const std::string little = Little(std::bit_cast<uint64_t>(value), 8);
  return 'G' + std::string(little.rbegin(), little.rend());
}

std::string PickleString(const std::string& text) {
  const std::string length = Little(text.size(), 4);
  return 'X' + length + text;
}

std::string PickleTuple(const std::vector<std::string>& items) {
  std::string text = "(";
  for (const std::string& item : items) text += item;
  return text + "t";
}

std::string PickleDict(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string text = "}(";
  for (const auto& [key, value] : entries) text += PickleString(key) + value;
  return text + "u";
}

std::string PickleGlobal(const std::string& module, const std::string& name) {
  return 'c' + module + "\n" + name + "\n";
}

std::string PickleCall(const std::string& callee, const std::string& arguments) { return callee + arguments + "R"; }

std::string PickleOf(const std::string& value) { return std::string("\x80\x02") + value + "."; }

std::string PickleTensor(const PickledTensor& tensor) {
  const std::string id = PickleTuple({PickleString("storage"), PickleGlobal("torch", tensor.storage),
                                      PickleString(tensor.key), PickleString("cpu"), PickleInt(tensor.element_count)});
  const std::string no_hooks = PickleCall(PickleGlobal("collections", "OrderedDict"), ")");
  return PickleCall(PickleGlobal("torch._utils", "_rebuild_tensor_v2"),
                    PickleTuple({id + "Q", PickleInt(tensor.offset), Integers(tensor.sizes), Integers(tensor.strides),
                                 "\x89", no_hooks}));
}

}  // namespace lifescope
