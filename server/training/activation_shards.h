// Activations on disk: a folder {activations.json, shard-00000.safetensors, ...}, written once from any source and
// trained on as often as wanted, by lifescope or by whoever reads safetensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "server/corpus/random.h"
#include "server/training/activation_source.h"
#include "server/training/shuffle_buffer.h"

namespace lifescope {

// activations.json.
struct ActivationShards {
  struct Shard {
    std::string file;  // tensor "activations" [rows, sum of widths]
    int64_t rows = 0;
    std::string sha256;  // of the file; compared when the shard is first opened
  };
  std::vector<ActivationSite> sites;
  std::vector<Shard> shards;
  // What they were made from, of whoever made them: names and digests of models and corpus.
  std::string origin;  // a JSON object
  // SHA-256 of activations.json, which holds those of the shards.
  std::string digest;
};

// Writes `rows` rows of the source in the order in which it serves them, in float32, as shards of at most `shard_rows`.
// The folder appears whole. `progress` is told the rows written. Throws c10::ValueError when the folder exists or
// cannot be written, or a count is not at least 1.
void WriteActivationShards(const std::string& folder, ActivationSource& source, int64_t rows, int64_t shard_rows,
                           const std::string& origin, const std::function<void(int64_t)>& progress);

// Throws c10::ValueError naming file, thing, found and expected. Shards are read when they are needed.
ActivationShards ReadActivationShards(const std::string& folder);

// Shards come in a random order that is drawn anew each epoch; their rows go through a ShuffleBuffer.
class ShardStream final : public ActivationSource {
 public:
  // Throws c10::ValueError as ReadActivationShards; Next does so for a shard that is not what activations.json says.
  ShardStream(const std::string& folder, int64_t buffer_rows, uint64_t seed);

  const ActivationShards& shards() const { return shards_; }
  const std::vector<ActivationSite>& sites() const override { return shards_.sites; }
  at::Tensor Next(int64_t rows) override;
  at::Tensor Peek(int64_t rows) override;
  SavedState State() const override;
  void Restore(const SavedState& state) override;
  int64_t rows_served() const override { return buffer_.rows_served(); }
  int64_t epoch_rows() const override;

 private:
  at::Tensor NextShard();

  std::string folder_;
  ActivationShards shards_;
  Random random_;
  std::vector<int64_t> order_;  // of the shards, in this epoch
  std::set<size_t> verified_;   // shards whose digest was compared
  size_t next_ = 0;
  ShuffleBuffer buffer_;
};

}  // namespace lifescope
