// Any bytes as a safetensors file: what its header describes lies inside it.
#include <stdexcept>

#include "server/artifact/safetensors_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto header = lifescope::ParseSafetensorsHeader({reinterpret_cast<const char*>(data), size});
    for (const lifescope::SafetensorsEntry& entry : header.entries) {
      if (entry.begin > entry.end || header.data_begin + entry.end > size) __builtin_trap();
    }
  } catch (const std::invalid_argument&) {
  }
  return 0;
}
