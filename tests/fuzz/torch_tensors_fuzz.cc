// Any bytes as the pickle of a sound archive, whose checksums no mutation would get right.
#include "server/artifact/torch_writer.h"
#include "tests/fuzz/read_archive.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string storage(64, '\0');
  for (size_t i = 1; i < storage.size(); i += 2) storage[i] = 1;
  const std::string pickle(reinterpret_cast<const char*>(data), size);
  lifescope::ReadArchive(lifescope::ZipOf({{"a/data.pkl", pickle}, {"a/data/0", storage}, {"a/data/1", storage}}));
  return 0;
}
