// Rows of a model's activations at one hook point over a corpus, in shuffled order: what a dictionary is trained on.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/corpus/random.h"
#include "server/model/transformer.h"
#include "server/training/saved_state.h"

namespace lifescope {

struct ActivationStreamOptions {
  HookPoint hook_point;
  // Only documents of the training split.
  bool training_split_only = true;
  // Positions left out: the prefix ([CLS], background, [SEP]) and every other [SEP].
  bool skip_prefix = true;
  bool skip_separators = false;
  // Rows held for shuffling; at least one batch.
  int64_t buffer_rows = 100'000;
  // Packed tokens per forward.
  int64_t batch_tokens = 8192;
  int64_t n_slots = 0;  // 0: the model's max_length
  uint64_t seed = 1;
};

// Semantics: documents come in a random order that is drawn anew each epoch; their rows fill the buffer; once it is
// full, rows are served in random order without replacement until half of it is left, then it is filled again. Not
// thread-safe. Infinite.
class ActivationStream {
 public:
  // Throws c10::ValueError: a hook point that the model lacks or whose rows are not tokens; no document or no row to
  // serve; a document that is longer than n_slots (when it is reached).
  ActivationStream(std::shared_ptr<const Transformer> model, std::shared_ptr<const Corpus> corpus,
                   const ActivationStreamOptions& options);

  // [rows, width] on the model's device.
  at::Tensor Next(int64_t rows);
  // Mean over rows of the squared norm, from the next `rows` rows (at most those in the buffer), which are served
  // afterwards all the same.
  double MeanSquaredNorm(int64_t rows);

  // Everything that is needed to go on to the bit: unread rows, place in the epoch, random source.
  SavedState State() const;
  // For a stream of the same model, corpus and options. Throws c10::ValueError naming a tensor that is missing or does
  // not fit.
  void Restore(const SavedState& state);

  // Rows served so far, and rows of one epoch.
  int64_t rows_served() const { return rows_served_; }
  int64_t epoch_rows() const { return epoch_rows_; }

 private:
  void Refill();
  // The rows of the next documents, about batch_tokens of them.
  at::Tensor NextDocumentRows();
  int64_t NextDocument();
  bool IsServed(const Document& document, int64_t position) const;

  std::shared_ptr<const Transformer> model_;
  std::shared_ptr<const Corpus> corpus_;
  ActivationStreamOptions options_;
  Random random_;
  std::vector<int64_t> documents_;  // of the split, in this epoch's order
  size_t next_document_ = 0;
  at::Tensor buffer_;  // [rows, width]: the first unread_ are unread, served from the last of them
  int64_t unread_ = 0;
  int64_t rows_served_ = 0;
  int64_t epoch_rows_ = 0;
};

}  // namespace lifescope
