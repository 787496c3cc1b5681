// Any bytes as cfg.json, activation_scaler.json and sae_weights.safetensors of a SAELens folder.
#include "tests/fuzz/engine_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parts = lifescope::PartsOf(data, size, 3);
  const std::string folder = lifescope::WriteInput(
      {{"cfg.json", parts[0]}, {"activation_scaler.json", parts[1]}, {"sae_weights.safetensors", parts[2]}});
  lifescope::ImportOrRefuse(folder, lifescope::DictionaryFormat::kSaeLens);
  return 0;
}
