// Rows of models' activations over a corpus, in shuffled order: what dictionaries are trained on.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/corpus/random.h"
#include "server/model/transformer.h"
#include "server/training/activation_source.h"
#include "server/training/shuffle_buffer.h"

namespace lifescope {

// A model, and the hook points whose activations are wanted.
struct StreamedModel {
  std::shared_ptr<const Transformer> model;
  std::vector<HookPoint> hook_points;
  // Stands before the names of its sites: "other:". Empty for one model.
  std::string prefix = {};
};

struct ActivationStreamOptions {
  // Only documents of the training split.
  bool training_split_only = true;
  // Positions left out: the prefix ([CLS], background, [SEP]) and every other [SEP]. Padding never exists.
  bool skip_prefix = true;
  bool skip_separators = false;
  // Rows held for shuffling; at least one batch.
  int64_t buffer_rows = 100'000;
  // Packed tokens per forward.
  int64_t batch_tokens = 8192;
  int64_t n_slots = 0;  // 0: the first model's max_length
  uint64_t seed = 1;
};

// Documents come in a random order that is drawn anew each epoch; their rows go through a ShuffleBuffer. A row holds
// the activations of one position at every site, so that transcoders and crosscoders see what belongs together.
class ActivationStream final : public ActivationSource {
 public:
  // Throws c10::ValueError: a hook point that the model lacks or whose rows are not tokens; models that are not of one
  // device and dtype; no document or no row to serve; a document that is longer than n_slots (when it is reached).
  ActivationStream(std::vector<StreamedModel> models, std::shared_ptr<const Corpus> corpus,
                   const ActivationStreamOptions& options);

  const std::vector<ActivationSite>& sites() const override { return sites_; }
  at::Tensor Next(int64_t rows) override;
  at::Tensor Peek(int64_t rows) override;
  SavedState State() const override;
  void Restore(const SavedState& state) override;
  int64_t rows_served() const override { return buffer_.rows_served(); }
  int64_t epoch_rows() const override { return epoch_rows_; }

 private:
  // The rows of the next documents, about batch_tokens of them.
  at::Tensor NextDocumentRows();
  int64_t NextDocument();
  bool IsServed(const Document& document, int64_t position) const;

  std::vector<StreamedModel> models_;
  std::shared_ptr<const Corpus> corpus_;
  ActivationStreamOptions options_;
  std::vector<ActivationSite> sites_;
  Random random_;
  std::vector<int64_t> documents_;  // of the split, in this epoch's order
  size_t next_document_ = 0;
  ShuffleBuffer buffer_;
  int64_t epoch_rows_ = 0;
};

}  // namespace lifescope
