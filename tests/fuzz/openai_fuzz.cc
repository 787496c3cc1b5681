// Any bytes as the pickle and the storage of a sound autoencoder.pt of OpenAI's sparse_autoencoder.
#include "tests/fuzz/engine_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parts = lifescope::PartsOf(data, size, 2);
  const std::string folder = lifescope::WriteInput({{"autoencoder.pt", lifescope::TorchFileOf(parts[0], {parts[1]})}});
  lifescope::ImportOrRefuse(folder, lifescope::DictionaryFormat::kOpenAi);
  return 0;
}
