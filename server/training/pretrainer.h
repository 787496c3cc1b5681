// Pre-trains a life2vec model: masked-token and sentence-order losses (Savcisens et al. 2024; facts in
// docs/training.md), documents packed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "server/corpus/corpus.h"
#include "server/training/loss_log.h"
#include "server/training/pretrain_options.h"

namespace lifescope {

struct PretrainProgress {
  LossLine line;  // of the step that was just done
  int64_t step_count = 0;
  double validation_mlm_loss = 0;  // of the last validation; NaN before the first
  double unigram_loss = 0;         // what knowing the token frequencies alone would give
  double tokens_per_second = 0;    // of this process
  // The next thing that is written is a checkpoint with this step, or the model.
  bool is_kept = false;
};

struct PretrainResult {
  double validation_mlm_loss = 0;
  double best_validation_loss = 0;
  int64_t best_step = 0;
  double unigram_loss = 0;
  double tokens_per_second = 0;
  double seconds = 0;
};

// How a run relates to one that was stopped.
struct PretrainSession {
  // Goes on from the checkpoint: the result is the same, to the bit, as that of a run which was never stopped.
  bool resume = false;
  // Kept in the checkpoint, so that a resumed run is known to be the same one.
  std::string run_id;
};

// Trains and writes the model folder {model.safetensors, hparams.json, vocab.tsv, loss.csv, curve.svg, best/} in one
// step. The model is that of the last step; best/ is a model folder with the weights of the lowest validation loss.
//
// Meanwhile hidden files stand beside it: .<name>.checkpoint.safetensors, replaced at intervals and made before the
// first step, .<name>.loss.csv, a line per step, and .<name>.lock. Killed at any time, the run can be resumed with the
// same corpus and options; when its model was there already, that only removes the hidden files. `on_progress` returns
// false to stop before the last step: the checkpoint then holds the step that was done, and the result's seconds are
// negative.
//
// Throws c10::ValueError: the model folder exists; another process is training it; a checkpoint is there, or is not
// there to resume; an option or the corpus that differs from the stopped run's, by name; an option out of range; a loss
// that is not finite.
PretrainResult Pretrain(const Corpus& corpus, const std::string& model_folder, const PretrainOptions& options,
                        const std::function<bool(const PretrainProgress&)>& on_progress,
                        const PretrainSession& session = {});

// What the checkpoint of a stopped run says of it.
struct StoppedRun {
  std::string run_id;
  int64_t step = 0;  // done when it was saved
};

// That of the model. Throws c10::ValueError when there is none.
StoppedRun FindStoppedRun(const std::string& model_folder);

}  // namespace lifescope
