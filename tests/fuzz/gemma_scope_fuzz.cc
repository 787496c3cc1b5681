// Any bytes as the arrays of a sound params.npz of Gemma Scope. An empty array is left out; the sixth has a name that
// is not known.
#include "server/artifact/zip_writer.h"
#include "tests/fuzz/engine_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const char* const names[] = {"W_enc.npy", "W_dec.npy", "b_enc.npy", "b_dec.npy", "threshold.npy", "W_skip.npy"};
  const auto parts = lifescope::PartsOf(data, size, std::size(names));
  lifescope::ZipRecords records;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].empty()) records.emplace_back(names[i], parts[i]);
  }
  const std::string folder = lifescope::WriteInput({{"params.npz", lifescope::ZipOf(records)}});
  lifescope::ImportOrRefuse(folder, lifescope::DictionaryFormat::kGemmaScope);
  return 0;
}
