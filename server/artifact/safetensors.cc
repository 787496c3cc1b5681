#include "server/artifact/safetensors.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "server/artifact/artifact.h"

namespace lifescope {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is copied as it lies in memory");

using Json = nlohmann::json;

constexpr uint64_t kLengthBytes = 8;

at::ScalarType DtypeOf(SafetensorsElement element) {
  constexpr at::ScalarType kDtypes[] = {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong,
                                        at::kInt,    at::kShort, at::kChar, at::kByte,     at::kBool};
  return kDtypes[static_cast<size_t>(element)];
}

const char* NameOf(at::ScalarType dtype, const std::string& tensor) {
  for (const SafetensorsElementType& type : kSafetensorsElements) {
    if (DtypeOf(type.element) == dtype) return type.name;
  }
  TORCH_CHECK_VALUE(false, "tensor '", tensor, "' has dtype ", c10::toString(dtype), ", which safetensors cannot hold");
}

}  // namespace

SafetensorsFile SafetensorsFile::Open(const std::string& path) {
  SafetensorsFile result;
  result.path_ = path;
  result.file_ = MappedFile::Open(path);
  SafetensorsHeader header;
  try {
    header = ParseSafetensorsHeader({reinterpret_cast<const char*>(result.file_->data()), result.file_->size()});
  } catch (const std::invalid_argument& error) {
    TORCH_CHECK_VALUE(false, path, ": ", error.what());
  }
  result.data_begin_ = header.data_begin;
  result.metadata_ = std::move(header.metadata);
  for (SafetensorsEntry& entry : header.entries) {
    result.names_.push_back(entry.name);
    result.entries_[entry.name] = std::move(entry);
  }
  return result;
}

bool SafetensorsFile::Contains(const std::string& name) const { return entries_.count(name) > 0; }

const SafetensorsEntry& SafetensorsFile::Find(const std::string& name) const {
  const auto found = entries_.find(name);
  TORCH_CHECK_VALUE(found != entries_.end(), path_, ": tensor '", name, "' is missing");
  return found->second;
}

at::Tensor SafetensorsFile::Read(const std::string& name) const {
  const SafetensorsEntry& entry = Find(name);
  const uint8_t* data = file_->data() + data_begin_ + entry.begin;
  const uint64_t bytes = entry.end - entry.begin;
  if (entry.element == SafetensorsElement::kBool) {
    TORCH_CHECK_VALUE(std::all_of(data, data + bytes, [](uint8_t byte) { return byte <= 1; }), path_, ": tensor '",
                      name, "' is BOOL but holds a byte other than 0 and 1");
  }
  at::Tensor tensor = at::empty(entry.shape, at::TensorOptions().dtype(DtypeOf(entry.element)));
  if (bytes > 0) std::memcpy(tensor.data_ptr(), data, bytes);
  return tensor;
}

void WriteSafetensors(const std::string& path, const std::map<std::string, at::Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<std::pair<std::string, at::Tensor>> ordered;
  for (const auto& [name, tensor] : tensors) ordered.emplace_back(name, tensor.detach().cpu().contiguous());
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const auto& a, const auto& b) { return a.second.element_size() > b.second.element_size(); });

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kSafetensorsMetadata] = metadata;
  size_t size = 0;
  for (const auto& [name, tensor] : ordered) {
    header[name] = {{"dtype", NameOf(tensor.scalar_type(), name)},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {size, size + tensor.nbytes()}}};
    size += tensor.nbytes();
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& error) {
    TORCH_CHECK_VALUE(false, path, ": a name is not UTF-8: ", error.what());
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');

  const uint64_t length = text.size();
  std::string bytes(reinterpret_cast<const char*>(&length), kLengthBytes);
  bytes.reserve(kLengthBytes + text.size() + size);
  bytes += text;
  for (const auto& [name, tensor] : ordered) bytes.append(static_cast<const char*>(tensor.data_ptr()), tensor.nbytes());
  WriteFileAtomically(path, bytes);
}

}  // namespace lifescope
