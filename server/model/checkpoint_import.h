// Turns a checkpoint of either public repository into a model folder, once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lifescope {

struct CheckpointImportOptions {
  // `.ckpt`, `.pth` or safetensors (checkpoint_file.h).
  std::string file;
  // vocab.tsv of the new folder, and its number of tokens, which the token matrix must have.
  std::string vocabulary_tsv;
  int64_t vocabulary_size = 0;
  // The text of a JSON object of published hyperparameters that the file does not hold, and where it comes from. A
  // value that contradicts the file's is an error.
  std::string hyperparameters = "{}";
  std::string hyperparameters_source;
};

struct CheckpointImportReport {
  std::string format, lightning_version;
  std::optional<int64_t> epoch, global_step;
  int64_t tensor_count = 0, parameter_count = 0;
  std::string dtype;  // of the weights in the folder
  bool has_pretraining_heads = false;
  // In the file, and no part of the model.
  std::vector<std::string> unused_tensors, unused_entries;
  // What was decided from the tensors, one sentence each.
  std::vector<std::string> notes;
  // Largest difference between documents run alone and in one batch, relative to the largest value.
  double self_check_deviation = 0;
  std::string digest;
};

// Writes {model.safetensors, hparams.json, vocab.tsv} to a hidden folder beside `folder`, loads it again, runs three
// made-up documents through it alone and batched, and renames it. Weights keep their precision (half precision is
// widened to FLOAT); names are those of life2vec-light. Sizes come from the tensors, the rest of the hyperparameters
// from the file or the options; whether token matrices are normalised, the checkpoint's Center buffers decide. Heads
// that the file lacks the model lacks. Throws c10::ValueError naming file, tensor or field, found and expected, also
// when `folder` exists; then nothing is left behind.
CheckpointImportReport ImportCheckpoint(const CheckpointImportOptions& options, const std::string& folder);

}  // namespace lifescope
