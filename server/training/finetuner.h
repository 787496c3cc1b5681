// Fine-tunes a pre-trained life2vec model to classify persons (Savcisens et al. 2024; facts in docs/heads.md): a fresh
// decoder on its final residual stream, with the trunk or without it. Documents run packed.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/model/classifier_head.h"
#include "server/model/transformer.h"
#include "server/training/class_target.h"
#include "server/training/classification_loss.h"
#include "server/training/finetune_rates.h"

namespace lifescope {

struct FinetuneOptions {
  std::string kind = "attention";  // of the decoder
  int64_t context_count = 10;      // of an ordinal one
  ClassificationLossOptions loss;
  // Trains the decoder alone; the trunk then runs as in evaluation and stays the model that it is.
  bool freeze_trunk = false;
  // As published: the token matrix learns only in the rows of [CLS], [PLCH4] and [UNK].
  bool freeze_tokens = true;
  // As published: the FAVOR+ projections of a trained trunk are drawn anew after every epoch.
  bool redraw_projections = true;
  int64_t epochs = 15;
  // Ends after this many epochs without a better validation score.
  int64_t patience = 5;
  int64_t batch_documents = 16;
  // Of AdamW; learning rates are multiplied by epoch_decay after every epoch.
  FinetuneRates rates;
  double epoch_decay = 0.8;
  double gradient_clip = 1.0;
  // Of the decoder; the trunk has its hyperparameters'.
  double dropout = 0.1;
  // Slots that the global heads count; 0: the model's max_length.
  int64_t n_slots = 0;
  uint64_t seed = 1;
};

// What the head says of persons, and what is true.
struct PersonPredictions {
  std::vector<int64_t> persons;  // indices in the corpus
  at::Tensor probabilities;      // DOUBLE [persons, targets, classes]
  at::Tensor classes;            // INT64 [persons, targets], -1: none
};

// How good the predictions of the validation persons are: the epoch with the highest is kept. NaN is an error.
using ValidationScore = std::function<double(const PersonPredictions&)>;

struct FinetuneProgress {
  int64_t epoch = 0;  // from 1
  int64_t step = 0;   // over all epochs
  int64_t step_count = 0;
  double loss = 0;              // of the last batch
  double validation_score = 0;  // of the last epoch; NaN before the first
};

struct FinetuneResult {
  Decoder decoder;
  // The trained trunk; absent when it was frozen.
  std::optional<Weights> weights;
  // Complete but for the digest of the model, which the trunk has once it is written.
  HeadDescription description;
  int64_t best_epoch = 0;  // from 1
  double validation_score = 0;
  // Of the test split, by the kept epoch: looked at once.
  PersonPredictions test;
};

// Trains on the training split, chooses by the validation split. `on_progress` is called after every step and returns
// false to stop; then nothing is returned. Deterministic in the options on the same build and number of threads. Throws
// c10::ValueError: a split in which nobody has a class of some target, targets of unequal class counts, a document
// longer than n_slots, a score or loss that is not a number.
std::optional<FinetuneResult> Finetune(const Transformer& base, const Corpus& corpus,
                                       const std::vector<ClassTarget>& targets, const FinetuneOptions& options,
                                       const ValidationScore& score,
                                       const std::function<bool(const FinetuneProgress&)>& on_progress = {});

// Writes what was trained: the trunk as a new model folder when there is one (then the head is bound to that model,
// else to `base_digest`), and the head's folder. Throws c10::ValueError when either exists; then neither is written.
void WriteFinetuned(const FinetuneResult& result, const Transformer& base, const std::string& base_digest,
                    const std::string& vocabulary_tsv, const std::string& model_folder, const std::string& head_folder);

}  // namespace lifescope
