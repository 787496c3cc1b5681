// Any bytes as cfg.json and sae.safetensors of a sparsify folder.
#include "tests/fuzz/engine_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parts = lifescope::PartsOf(data, size, 2);
  const std::string folder = lifescope::WriteInput({{"cfg.json", parts[0]}, {"sae.safetensors", parts[1]}});
  lifescope::ImportOrRefuse(folder, lifescope::DictionaryFormat::kSparsify);
  return 0;
}
