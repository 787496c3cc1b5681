// Any bytes as activations.json and a shard; "DIGEST" in the first stands for the digest of the second, which no
// mutation would get right.
#include <c10/util/Exception.h>

#include "server/artifact/artifact.h"
#include "server/training/activation_shards.h"
#include "tests/fuzz/engine_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto parts = lifescope::PartsOf(data, size, 2);
  std::string& index = parts[0];
  const std::string name = "DIGEST", digest = lifescope::Sha256(parts[1]);
  for (size_t at = index.find(name); at != std::string::npos; at = index.find(name, at + digest.size())) {
    index.replace(at, name.size(), digest);
  }
  const std::string folder =
      lifescope::WriteInput({{"activations.json", index}, {"shard-00000.safetensors", parts[1]}});
  try {
    lifescope::ShardStream stream(folder, /*buffer_rows=*/4, /*seed=*/1);
    stream.Next(2);
  } catch (const c10::ValueError&) {
  }
  return 0;
}
