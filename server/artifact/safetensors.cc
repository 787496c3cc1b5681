#include "server/artifact/safetensors.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <tuple>

#include "server/artifact/artifact.h"

namespace lifescope {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is copied as it lies in memory");

using Json = nlohmann::json;

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeader = uint64_t{100} << 20;
constexpr char kMetadata[] = "__metadata__";

struct DtypeName {
  const char* name;
  at::ScalarType type;
};
constexpr DtypeName kDtypes[] = {
    {"F64", at::kDouble}, {"F32", at::kFloat}, {"F16", at::kHalf}, {"BF16", at::kBFloat16}, {"I64", at::kLong},
    {"I32", at::kInt},    {"I16", at::kShort}, {"I8", at::kChar},  {"U8", at::kByte},       {"BOOL", at::kBool}};

struct TensorInfo {
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // relative to the start of the data
};

// Text of a JSON value for an error message: short whatever the file holds.
std::string Shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= 80 ? text : text.substr(0, 77) + "...";
}

// Parses JSON text. Two values under one key would hide a tensor, so they are an error too.
Json ParseHeader(std::string_view text, const std::string& path) {
  std::vector<std::set<std::string>> keys;
  const auto refuse_duplicates = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key) {
      TORCH_CHECK_VALUE(keys.back().insert(value.get<std::string>()).second, path, ": header has the name ",
                        Shown(value), " twice");
    }
    return true;
  };
  try {
    return Json::parse(text, refuse_duplicates);
  } catch (const Json::exception& error) {
    TORCH_CHECK_VALUE(false, path, ": header is not JSON: ", error.what());
  }
}

at::ScalarType ParseDtype(const Json& value, const std::string& where) {
  for (const DtypeName& dtype : kDtypes) {
    if (value == dtype.name) return dtype.type;
  }
  TORCH_CHECK_VALUE(false, where, " has unknown dtype ", Shown(value),
                    ", expected one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL");
}

uint64_t ParseSize(const Json& value, const std::string& where, const char* field) {
  TORCH_CHECK_VALUE(value.is_number_unsigned(), where, " has ", Shown(value), " in ", field,
                    ", expected an integer that is not negative");
  return value.get<uint64_t>();
}

// Bytes of a tensor of this shape. Sizes are multiplied as if 0 were 1, so that strides cannot overflow either.
uint64_t ByteCount(const TensorInfo& info, const std::string& where) {
  int64_t strides = static_cast<int64_t>(c10::elementSize(info.dtype));
  bool empty = false;
  for (const int64_t size : info.shape) {
    empty = empty || size == 0;
    TORCH_CHECK_VALUE(!__builtin_mul_overflow(strides, std::max<int64_t>(size, 1), &strides), where,
                      " has a shape whose byte count overflows 64 bits");
  }
  return empty ? 0 : static_cast<uint64_t>(strides);
}

TensorInfo ParseTensor(const Json& entry, const std::string& where) {
  TORCH_CHECK_VALUE(entry.is_object() && entry.size() == 3 && entry.contains("dtype") && entry.contains("shape") &&
                        entry.contains("data_offsets"),
                    where, " is ", Shown(entry), ", expected dtype, shape and data_offsets");
  TensorInfo info;
  info.dtype = ParseDtype(entry["dtype"], where);
  TORCH_CHECK_VALUE(entry["shape"].is_array(), where, " has shape ", Shown(entry["shape"]), ", expected a list");
  for (const Json& size : entry["shape"]) {
    const uint64_t value = ParseSize(size, where, "shape");
    TORCH_CHECK_VALUE(value <= INT64_MAX, where, " has size ", value, " in shape, which does not fit 64 bits");
    info.shape.push_back(static_cast<int64_t>(value));
  }
  const Json& offsets = entry["data_offsets"];
  TORCH_CHECK_VALUE(offsets.is_array() && offsets.size() == 2, where, " has data_offsets ", Shown(offsets),
                    ", expected [begin, end]");
  info.begin = ParseSize(offsets[0], where, "data_offsets");
  info.end = ParseSize(offsets[1], where, "data_offsets");
  TORCH_CHECK_VALUE(info.begin <= info.end, where, " has data_offsets ", Shown(offsets), ": end before begin");
  const uint64_t expected = ByteCount(info, where);
  TORCH_CHECK_VALUE(info.end - info.begin == expected, where, " has shape ", Shown(entry["shape"]), " and dtype ",
                    Shown(entry["dtype"]), ", which is ", expected, " bytes, but data_offsets hold ",
                    info.end - info.begin);
  return info;
}

std::map<std::string, std::string> ParseMetadata(const Json& value, const std::string& path) {
  TORCH_CHECK_VALUE(value.is_object(), path, ": ", kMetadata, " is ", Shown(value), ", expected an object of strings");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, text] : value.items()) {
    TORCH_CHECK_VALUE(text.is_string(), path, ": ", kMetadata, " has ", Shown(text), " under '", key,
                      "', expected a string");
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

// The header's text, after the checks that need no JSON.
std::string_view HeaderText(const MappedFile& file, const std::string& path) {
  TORCH_CHECK_VALUE(file.size() >= kLengthBytes, path, ": truncated: ", file.size(),
                    " bytes, a safetensors file begins with an 8-byte header length");
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  TORCH_CHECK_VALUE(length <= kMaxHeader, path, ": header length is ", length, " bytes, the limit is ", kMaxHeader);
  TORCH_CHECK_VALUE(length <= file.size() - kLengthBytes, path, ": truncated: header length is ", length,
                    " bytes, the file has ", file.size() - kLengthBytes, " after it");
  return {reinterpret_cast<const char*>(file.data()) + kLengthBytes, length};
}

const char* NameOf(at::ScalarType type, const std::string& tensor) {
  for (const DtypeName& dtype : kDtypes) {
    if (dtype.type == type) return dtype.name;
  }
  TORCH_CHECK_VALUE(false, "tensor '", tensor, "' has dtype ", c10::toString(type), ", which safetensors cannot hold");
}

}  // namespace

struct SafetensorsFile::Entry : TensorInfo {};

SafetensorsFile SafetensorsFile::Open(const std::string& path) {
  SafetensorsFile result;
  result.path_ = path;
  result.file_ = MappedFile::Open(path);
  const std::string_view text = HeaderText(*result.file_, path);
  const Json header = ParseHeader(text, path);
  TORCH_CHECK_VALUE(header.is_object() && text.front() == '{', path, ": header is not a JSON object");
  for (const auto& [name, value] : header.items()) {
    if (name == kMetadata) {
      result.metadata_ = ParseMetadata(value, path);
    } else {
      const Entry entry{ParseTensor(value, path + ": tensor '" + name + "'")};
      result.entries_[name] = std::make_shared<const Entry>(entry);
      result.names_.push_back(name);
    }
  }
  std::sort(result.names_.begin(), result.names_.end(), [&](const std::string& a, const std::string& b) {
    const Entry &x = *result.entries_[a], &y = *result.entries_[b];
    return std::tie(x.begin, x.end, a) < std::tie(y.begin, y.end, b);
  });
  uint64_t end = 0;
  for (const std::string& name : result.names_) {
    const Entry& entry = *result.entries_[name];
    TORCH_CHECK_VALUE(
        entry.begin == end, path, ": tensor '", name, "' begins at byte ", entry.begin, " of the data, ",
        entry.begin < end ? "inside the tensor before it, which ends at " : "after a hole that begins at ", end);
    end = entry.end;
  }
  const uint64_t data_size = result.file_->size() - kLengthBytes - text.size();
  TORCH_CHECK_VALUE(end <= data_size, path, ": truncated: the header describes ", end, " bytes of data, the file has ",
                    data_size);
  TORCH_CHECK_VALUE(end == data_size, path, ": ", data_size - end, " trailing bytes after the last tensor");
  return result;
}

bool SafetensorsFile::Contains(const std::string& name) const { return entries_.count(name) > 0; }

const SafetensorsFile::Entry& SafetensorsFile::Find(const std::string& name) const {
  const auto found = entries_.find(name);
  TORCH_CHECK_VALUE(found != entries_.end(), path_, ": tensor '", name, "' is missing");
  return *found->second;
}

at::Tensor SafetensorsFile::Read(const std::string& name) const {
  const Entry& entry = Find(name);
  const uint64_t last = entries_.at(names_.back())->end;
  const uint8_t* data = file_->data() + (file_->size() - last) + entry.begin;
  const uint64_t bytes = entry.end - entry.begin;
  if (entry.dtype == at::kBool) {
    TORCH_CHECK_VALUE(std::all_of(data, data + bytes, [](uint8_t byte) { return byte <= 1; }), path_, ": tensor '",
                      name, "' is BOOL but holds a byte other than 0 and 1");
  }
  at::Tensor tensor = at::empty(entry.shape, at::TensorOptions().dtype(entry.dtype));
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
  if (!metadata.empty()) header[kMetadata] = metadata;
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
