// Any bytes as a .npy array.
#include <stdexcept>

#include "server/artifact/npz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const lifescope::NpyArray array = lifescope::ParseNpy({reinterpret_cast<const char*>(data), size});
    if (lifescope::ParseNpy(lifescope::NpyOf(array)).data != array.data) __builtin_trap();
  } catch (const std::invalid_argument&) {
  }
  return 0;
}
