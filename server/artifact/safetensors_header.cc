#include "server/artifact/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <tuple>

namespace lifescope {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeader = uint64_t{100} << 20;

void Check(bool is_right, const std::string& what) {
  if (!is_right) throw std::invalid_argument(what);
}

// Text of a JSON value for an error message: short whatever the file holds.
std::string Shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= 80 ? text : text.substr(0, 77) + "...";
}

// Parses JSON text. Two values under one key would hide a tensor, so they are an error too.
Json ParseJsonText(std::string_view text) {
  std::vector<std::set<std::string>> keys;
  const auto refuse_duplicates = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key) {
      Check(keys.back().insert(value.get<std::string>()).second, "header has the name " + Shown(value) + " twice");
    }
    return true;
  };
  try {
    return Json::parse(text, refuse_duplicates);
  } catch (const Json::exception& error) {
    throw std::invalid_argument(std::string("header is not JSON: ") + error.what());
  }
}

const SafetensorsElementType& ParseElement(const Json& value, const std::string& where) {
  for (const SafetensorsElementType& type : kSafetensorsElements) {
    if (value == type.name) return type;
  }
  throw std::invalid_argument(where + " has unknown dtype " + Shown(value) +
                              ", expected one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL");
}

uint64_t ParseSize(const Json& value, const std::string& where, const char* field) {
  Check(value.is_number_unsigned(),
        where + " has " + Shown(value) + " in " + field + ", expected an integer that is not negative");
  return value.get<uint64_t>();
}

// Bytes of a tensor of this shape. Sizes are multiplied as if 0 were 1, so that strides cannot overflow either.
uint64_t ByteCount(const std::vector<int64_t>& shape, size_t element_bytes, const std::string& where) {
  int64_t strides = static_cast<int64_t>(element_bytes);
  bool empty = false;
  for (const int64_t size : shape) {
    empty = empty || size == 0;
    Check(!__builtin_mul_overflow(strides, std::max<int64_t>(size, 1), &strides),
          where + " has a shape whose byte count overflows 64 bits");
  }
  return empty ? 0 : static_cast<uint64_t>(strides);
}

SafetensorsEntry ParseTensor(const std::string& name, const Json& json) {
  const std::string where = "tensor '" + name + "'";
  Check(json.is_object() && json.size() == 3 && json.contains("dtype") && json.contains("shape") &&
            json.contains("data_offsets"),
        where + " is " + Shown(json) + ", expected dtype, shape and data_offsets");
  SafetensorsEntry entry;
  entry.name = name;
  const SafetensorsElementType& type = ParseElement(json["dtype"], where);
  entry.element = type.element;
  Check(json["shape"].is_array(), where + " has shape " + Shown(json["shape"]) + ", expected a list");
  for (const Json& size : json["shape"]) {
    const uint64_t value = ParseSize(size, where, "shape");
    Check(value <= INT64_MAX, where + " has size " + std::to_string(value) + " in shape, which does not fit 64 bits");
    entry.shape.push_back(static_cast<int64_t>(value));
  }
  const Json& offsets = json["data_offsets"];
  Check(offsets.is_array() && offsets.size() == 2,
        where + " has data_offsets " + Shown(offsets) + ", expected [begin, end]");
  entry.begin = ParseSize(offsets[0], where, "data_offsets");
  entry.end = ParseSize(offsets[1], where, "data_offsets");
  Check(entry.begin <= entry.end, where + " has data_offsets " + Shown(offsets) + ": end before begin");
  const uint64_t expected = ByteCount(entry.shape, type.bytes, where);
  Check(entry.end - entry.begin == expected,
        where + " has shape " + Shown(json["shape"]) + " and dtype " + Shown(json["dtype"]) + ", which is " +
            std::to_string(expected) + " bytes, but data_offsets hold " + std::to_string(entry.end - entry.begin));
  return entry;
}

std::map<std::string, std::string> ParseMetadata(const Json& value) {
  const std::string where = kSafetensorsMetadata;
  Check(value.is_object(), where + " is " + Shown(value) + ", expected an object of strings");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, text] : value.items()) {
    Check(text.is_string(), where + " has " + Shown(text) + " under '" + key + "', expected a string");
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

// The header's text, after the checks that need no JSON.
std::string_view HeaderText(std::string_view file) {
  Check(file.size() >= kLengthBytes,
        "truncated: " + std::to_string(file.size()) + " bytes, a safetensors file begins with an 8-byte header length");
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  Check(length <= kMaxHeader,
        "header length is " + std::to_string(length) + " bytes, the limit is " + std::to_string(kMaxHeader));
  Check(length <= file.size() - kLengthBytes, "truncated: header length is " + std::to_string(length) +
                                                  " bytes, the file has " + std::to_string(file.size() - kLengthBytes) +
                                                  " after it");
  return file.substr(kLengthBytes, length);
}

// Throws unless the tensors, in their order, cover the data.
void CheckCoverage(const std::vector<SafetensorsEntry>& entries, uint64_t data_size) {
  uint64_t end = 0;
  for (const SafetensorsEntry& entry : entries) {
    Check(entry.begin == end,
          "tensor '" + entry.name + "' begins at byte " + std::to_string(entry.begin) + " of the data, " +
              (entry.begin < end ? "inside the tensor before it, which ends at " : "after a hole that begins at ") +
              std::to_string(end));
    end = entry.end;
  }
  Check(end <= data_size, "truncated: the header describes " + std::to_string(end) + " bytes of data, the file has " +
                              std::to_string(data_size));
  Check(end == data_size, std::to_string(data_size - end) + " trailing bytes after the last tensor");
}

}  // namespace

SafetensorsHeader ParseSafetensorsHeader(std::string_view file) {
  const std::string_view text = HeaderText(file);
  const Json json = ParseJsonText(text);
  Check(json.is_object() && text.front() == '{', "header is not a JSON object");
  SafetensorsHeader header;
  header.data_begin = kLengthBytes + text.size();
  for (const auto& [name, value] : json.items()) {
    if (name == kSafetensorsMetadata) {
      header.metadata = ParseMetadata(value);
    } else {
      header.entries.push_back(ParseTensor(name, value));
    }
  }
  std::sort(header.entries.begin(), header.entries.end(), [](const SafetensorsEntry& x, const SafetensorsEntry& y) {
    return std::tie(x.begin, x.end, x.name) < std::tie(y.begin, y.end, y.name);
  });
  CheckCoverage(header.entries, file.size() - header.data_begin);
  return header;
}

}  // namespace lifescope
