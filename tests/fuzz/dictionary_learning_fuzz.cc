// Any bytes as config.json of a dictionary_learning folder, and as the pickle and two storages of a sound ae.pt.
#include "tests/fuzz/engine_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parts = lifescope::PartsOf(data, size, 4);
  const std::string folder = lifescope::WriteInput(
      {{"config.json", parts[0]}, {"ae.pt", lifescope::TorchFileOf(parts[1], {parts[2], parts[3]})}});
  lifescope::ImportOrRefuse(folder, lifescope::DictionaryFormat::kDictionaryLearning);
  return 0;
}
