// A pre-training in progress: weights, optimiser, schedule, place in the data, and all random states.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/model/transformer.h"
#include "server/optimizer/adam.h"
#include "server/training/batch_gradient.h"
#include "server/training/one_cycle.h"
#include "server/training/pretrain_examples.h"
#include "server/training/pretrain_options.h"
#include "server/training/saved_state.h"

namespace lifescope {

// What one optimiser step did: means over its batches, in nats.
struct PretrainStep {
  double learning_rate = 0;
  double loss = 0;
  double mlm_loss = 0;
  double sop_loss = 0;
  int64_t token_count = 0;
};

// Not thread-safe, and at most one per process at work: dropout draws from LibTorch's default generator, which the
// constructor seeds and whose state is saved and restored with the rest. Deterministic: the same options and corpus
// give the same weights on the same build, machine and thread count, and a restored run goes on to the bit.
class PretrainRun {
 public:
  // Throws c10::ValueError on options that are out of range or an empty training split. `corpus` must outlive it.
  PretrainRun(const Corpus& corpus, const PretrainOptions& options);
  PretrainRun(const PretrainRun&) = delete;
  PretrainRun& operator=(const PretrainRun&) = delete;

  // One optimiser step. Throws c10::ValueError when the loss is not finite.
  PretrainStep Step();
  int64_t step_count() const { return step_; }

  // Masked-token loss on the validation documents. The weights are kept as the best if none before were better.
  double Validate();
  double unigram_loss() const { return unigram_loss_; }
  // NaN, -1 before the first validation.
  double last_validation_loss() const { return last_validation_loss_; }
  double best_validation_loss() const { return best_validation_loss_; }
  int64_t best_step() const { return best_step_; }

  const Hyperparameters& hyperparameters() const { return hyperparameters_; }
  // State dicts of the model as it is now, and as it was at its best validation. The first is a view.
  std::map<std::string, at::Tensor> Last() const { return ToStateDict(weights_, hyperparameters_); }
  const std::map<std::string, at::Tensor>& Best() const { return best_; }

  // Everything that is needed to go on; views, to be written before the next step.
  SavedState State() const;
  // For a run of the same corpus and options. Throws c10::ValueError naming a tensor that is missing or does not fit.
  void Restore(const SavedState& state);

 private:
  BatchGradient NextGradient();
  void Update(std::vector<at::Tensor>& gradients);
  bool RedrawIsDue();

  PretrainOptions options_;  // with n_slots and max_length filled in
  const Hyperparameters hyperparameters_;
  const OneCycleOptions cycle_;
  Random projection_random_;
  ExampleStream examples_;
  const std::vector<PretrainBatch> validation_;
  const double unigram_loss_;

  Weights weights_;
  std::vector<std::pair<std::string, at::Tensor*>> parameters_;  // into weights_
  std::map<std::string, AdamState> adam_;
  int64_t step_ = 0;
  int64_t redrawn_epoch_ = 0;
  double last_validation_loss_;
  double best_validation_loss_;
  int64_t best_step_ = -1;
  std::map<std::string, at::Tensor> best_;
};

}  // namespace lifescope
