// A life2vec checkpoint as somebody saved it: a Lightning `.ckpt`, a state dict in `.pth`, or safetensors. The content
// decides which, not the name.
#pragma once

#include <ATen/core/ScalarType.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/model/state_dict.h"

namespace lifescope {

struct CheckpointFile {
  std::string format;             // "Lightning checkpoint", "state dict of torch.save", "safetensors"
  std::string lightning_version;  // empty where there is none
  std::optional<int64_t> epoch, global_step;

  // The tensors of the encoder and of the pre-training heads, half precision widened to FLOAT (which is exact). A file
  // that holds `transformer.state_dict()` has the prefix put before its names.
  StateDict state;
  // Those of a fine-tuned decoder, "decoder.*"; they count as unused.
  StateDict decoder;
  // Whether any of the model's is DOUBLE; the others are FLOAT then, and widened without loss.
  at::ScalarType dtype = at::kFloat;
  bool has_pretraining_heads = false;
  // The text of a JSON object with the scalars among the saved hyperparameters; empty where there are none.
  std::string hyperparameters;

  // What the file holds beside the model: tensors of other heads and of losses; optimiser states, loops, callbacks...
  std::vector<std::string> unused_tensors, unused_entries;
};

// Throws c10::ValueError: not such a file (torch_archive.h, safetensors.h say what is refused), no tensors of a
// life2vec encoder in it, or tensors that share storages so often that they are larger than the file by far.
CheckpointFile OpenCheckpointFile(const std::string& path);

}  // namespace lifescope
