// Trains a TopK sparse autoencoder with AuxK and unit-norm decoder (Gao et al. 2024, arXiv:2406.04093), by the
// update rule of dictionary_learning's TopKTrainer (fixture golden/sae/train/dl_topk_auxk).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

#include "server/dictionary/weights.h"
#include "server/optimizer/adam.h"

namespace lifescope {

struct TopKTrainerOptions {
  int64_t activation_dim = 0;
  int64_t feature_count = 0;
  // Active features per row.
  int64_t k = 32;
  // 0: 2e-4 / sqrt(feature_count / 2^14), the reference's rule.
  double learning_rate = 0;
  // Weight of the auxiliary loss.
  double auxk_alpha = 1.0 / 32;
  // Dead features that model the error per row. 0: activation_dim / 2.
  int64_t k_aux = 0;
  // A feature is dead after this many rows without firing.
  int64_t dead_after_rows = 10'000'000;
  int64_t warmup_steps = 1000;
  // Step at which the learning rate starts to fall linearly to 0 at total_steps. -1: never.
  int64_t decay_start = -1;
  int64_t total_steps = 0;
  double gradient_clip = 1.0;
  uint64_t seed = 0;
  at::ScalarType dtype = at::kFloat;
};

// The learning rate of optimiser step `step` (from 0): a linear rise over warmup_steps, which starts at 0, then
// constant, then the linear fall.
double LearningRate(const TopKTrainerOptions& options, int64_t step);

// What one step did.
struct TopKStep {
  double loss = 0;            // total
  double reconstruction = 0;  // mean over rows of the squared error summed over dimensions
  double auxiliary = 0;       // before its weight
  double fvu = 0;             // squared error / squared deviation from the batch mean; not finite for equal rows
  double l0 = 0;              // mean active features per row
  int64_t dead_feature_count = 0;
};

// Not thread-safe. Deterministic: the same options and batches give the same weights on the same build and
// thread count; a restored trainer goes on to the bit.
class TopKTrainer {
 public:
  // Random unit decoder directions from `seed`, encoder = their transpose, biases 0. Throws c10::ValueError naming
  // the option that is out of range.
  explicit TopKTrainer(const TopKTrainerOptions& options);

  // One optimiser step on raw rows [rows, activation_dim] (already scaled by the caller if wanted). The first
  // step sets b_dec to the geometric median of its batch. Throws c10::ValueError, and changes nothing, when the
  // shape is wrong or the loss is not finite.
  TopKStep Step(const at::Tensor& rows);
  int64_t step_count() const { return step_; }

  // Everything that is needed to go on, as copies: the parameters under their names, "<name>.first_moment",
  // "<name>.second_moment" and "<name>.step" of Adam, "rows_since_fired" and "step".
  std::map<std::string, at::Tensor> State() const;
  // Takes over a State; other names are ignored. Throws c10::ValueError, and changes nothing, on a missing tensor
  // or one of another shape.
  void Restore(const std::map<std::string, at::Tensor>& state);

  // The dictionary as it is now, for raw activations = rows / scale: the scale is folded into the biases. Features
  // are then in units of the raw activations (the trainer's values / scale), and directions keep unit norm.
  DictionaryWeights Fold(double scale) const;

  // Access for parity tests, under dictionary_learning's names (encoder.weight, encoder.bias, decoder.weight,
  // b_dec): parameters, and the gradients of the last step before and after projection and clipping.
  const std::map<std::string, at::Tensor>& parameters() const { return parameters_; }
  const std::map<std::string, at::Tensor>& raw_gradients() const { return raw_gradients_; }
  const std::map<std::string, at::Tensor>& applied_gradients() const { return applied_gradients_; }

 private:
  void Update();

  TopKTrainerOptions options_;
  int64_t step_ = 0;
  // decoder.weight is the transpose of a contiguous [feature_count, activation_dim], and so is all that is kept of
  // it: rows of features are what training reads and writes.
  std::map<std::string, at::Tensor> parameters_, raw_gradients_, applied_gradients_;
  std::map<std::string, AdamState> adam_;  // of every parameter, from the start
  at::Tensor rows_since_fired_;            // INT64 [feature_count]
};

}  // namespace lifescope
