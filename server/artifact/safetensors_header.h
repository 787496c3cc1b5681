// The header of a safetensors file, read strictly (safetensors.h says what that is).
//
// Standard library and JSON only. Everything throws std::invalid_argument: what was found and what was expected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lifescope {

enum class SafetensorsElement { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };

struct SafetensorsElementType {
  const char* name;  // "F64"
  SafetensorsElement element;
  size_t bytes;
};
inline constexpr SafetensorsElementType kSafetensorsElements[] = {
    {"F64", SafetensorsElement::kF64, 8},   {"F32", SafetensorsElement::kF32, 4}, {"F16", SafetensorsElement::kF16, 2},
    {"BF16", SafetensorsElement::kBF16, 2}, {"I64", SafetensorsElement::kI64, 8}, {"I32", SafetensorsElement::kI32, 4},
    {"I16", SafetensorsElement::kI16, 2},   {"I8", SafetensorsElement::kI8, 1},   {"U8", SafetensorsElement::kU8, 1},
    {"BOOL", SafetensorsElement::kBool, 1}};

inline constexpr char kSafetensorsMetadata[] = "__metadata__";

struct SafetensorsEntry {
  std::string name;
  SafetensorsElement element = SafetensorsElement::kF32;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes of the data
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in the order of the data, without holes
  std::map<std::string, std::string> metadata;
  uint64_t data_begin = 0;  // in the file
};

// Of the whole file, whose data must end with the last tensor.
SafetensorsHeader ParseSafetensorsHeader(std::string_view file);

}  // namespace lifescope
