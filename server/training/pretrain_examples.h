// The documents of a pre-training as examples of its two tasks.
#pragma once

#include <cstdint>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/corpus/random.h"
#include "server/training/pretrain_loss.h"
#include "server/training/pretrain_options.h"
#include "server/training/saved_state.h"

namespace lifescope {

// Batches of the training split: documents come in a random order that is drawn anew each epoch; each is augmented,
// clipped, put in an order and masked by draws of its own. Infinite. Not thread-safe. `corpus` must outlive it.
class ExampleStream {
 public:
  // Throws c10::ValueError when the training split is empty.
  ExampleStream(const Corpus& corpus, const PretrainOptions& options);

  std::vector<PretrainExample> Next();
  // Passes over the split that are complete.
  int64_t epoch() const { return epoch_; }

  // Everything that is needed to go on to the bit.
  SavedState State() const;
  // For a stream of the same corpus. Throws c10::ValueError naming a tensor that is missing or does not fit.
  void Restore(const SavedState& state);

 private:
  PretrainExample NextExample();

  const Corpus& corpus_;
  const PretrainOptions options_;
  Random random_;
  std::vector<int64_t> documents_;  // in this epoch's order
  size_t next_document_ = 0;
  int64_t epoch_ = 0;
};

// The first documents of the validation split (of the training split where there is none), masked once, in their
// order, without augmentation; with tokens shuffled within events where training shuffles them.
std::vector<PretrainBatch> ValidationBatches(const Corpus& corpus, const PretrainOptions& options);

// The masked-token loss of whoever knows the frequencies of the training split alone, with one added to each count: a
// token of the validation split may be missing there.
double UnigramLoss(const Corpus& corpus, const PretrainOptions& options, const std::vector<PretrainBatch>& batches);

}  // namespace lifescope
