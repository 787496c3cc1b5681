// Pre-trains a life2vec model: masked-token and sentence-order losses (Savcisens et al. 2024; facts in
// docs/model.md), documents packed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/corpus/corpus.h"
#include "server/model/transformer.h"

namespace lifescope {

struct PretrainOptions {
  Hyperparameters hyperparameters;  // vocab_size is taken from the corpus
  int64_t steps = 3000;
  int64_t batch_documents = 16;
  double learning_rate = 5e-3;
  double weight_decay = 0.01;
  double gradient_clip = 1.0;
  double mask_ratio = 0.30;
  // Losses are weighted 0.8 masked token, 0.2 sentence order.
  double mlm_weight = 0.8;
  double sop_weight = 0.2;
  double label_smoothing = 0.1;
  // Start of the ReZero gates; the published 0 learns slowly on small data.
  double initial_gate = 0.5;
  // The published draw of abspos's frequencies times this: as published (1) they are so small that dates can hardly
  // be told apart.
  double abspos_scale = 4;
  // Steps between redraws of the FAVOR+ projections; the last drawn is kept in the model.
  int64_t redraw_interval = 1000;
  // Slots that the global heads count; 0: hyperparameters.max_length.
  int64_t n_slots = 0;
  // Steps between validation passes over at most this many documents.
  int64_t validation_interval = 250;
  int64_t validation_documents = 64;
  uint64_t seed = 1;
  // Documents of a step are shared out among this many threads (one when there is dropout).
  int32_t threads = 1;
};

struct PretrainProgress {
  int64_t step = 0;
  int64_t step_count = 0;
  double loss = 0;
  double mlm_loss = 0;  // nats per masked token
  double sop_loss = 0;
  double validation_mlm_loss = 0;  // of the last validation; NaN before the first
  double unigram_loss = 0;         // what knowing the token frequencies alone would give
  double tokens_per_second = 0;
};

struct PretrainResult {
  double validation_mlm_loss = 0;
  double unigram_loss = 0;
  double seconds = 0;
};

// Trains and writes the model folder {model.safetensors, hparams.json, vocab.tsv, loss.csv} atomically. `on_progress`
// returns false to stop (nothing is written then, and the result's seconds are negative). Deterministic in the
// options on the same build.
PretrainResult Pretrain(const Corpus& corpus, const std::string& model_folder, const PretrainOptions& options,
                        const std::function<bool(const PretrainProgress&)>& on_progress);

}  // namespace lifescope
