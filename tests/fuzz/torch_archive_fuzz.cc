// Any bytes as a file of torch.save.
#include "tests/fuzz/read_archive.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lifescope::ReadArchive({reinterpret_cast<const char*>(data), size});
  return 0;
}
