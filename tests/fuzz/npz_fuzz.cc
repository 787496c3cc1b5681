// Any bytes as a .npz archive; what is deflated in it is inflated.
#include <stdexcept>

#include "server/artifact/npz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const lifescope::NpzArchive archive({reinterpret_cast<const char*>(data), size});
    for (const std::string& name : archive.names()) {
      try {
        const std::string bytes = archive.Read(name);
        lifescope::ParseNpy(bytes);
      } catch (const std::invalid_argument&) {
      }
    }
  } catch (const std::invalid_argument&) {
  }
  return 0;
}
