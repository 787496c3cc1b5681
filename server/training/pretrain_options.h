// Everything that decides a pre-training, as plain fields with one name each: in recipes, checkpoints and the database.
#pragma once

#include <cstdint>
#include <string>

#include "server/model/hyperparameters.h"
#include "server/model/weights.h"
#include "server/training/augmentation.h"
#include "server/training/pretrain_loss.h"

namespace lifescope {

struct PretrainOptions {
  // vocab_size is taken from the corpus, and so is a max_length of 0.
  Hyperparameters hyperparameters;
  Initialization initialization = InitializationOfShortRuns();

  // Optimiser steps, each on the mean of `accumulation` batches.
  int64_t steps = 3000;
  int64_t batch_documents = 16;
  int64_t accumulation = 1;
  // One cycle: see OneCycleOptions.
  double learning_rate = 5e-3;
  double rising_share = 0.05;
  double div_factor = 30;
  double final_div_factor = 1e4;
  // AdamW; epsilon is hyperparameters.epsilon. beta1 goes down to min_beta1 while the rate is high.
  double beta1 = 0.9;
  double min_beta1 = 0.85;
  double beta2 = 0.999;
  double weight_decay = 0.01;
  double gradient_clip = 1.0;

  double mask_ratio = 0.30;
  PretrainObjective objective;
  AugmentationOptions augmentation;
  // Slots of every document: longer ones are clipped to their last events, after augmentation; the global heads count
  // them all. 0: max_length.
  int64_t n_slots = 0;

  // The FAVOR+ projections are redrawn after so many steps (0: never), and after each pass over the training split;
  // the last drawn are kept in the model.
  int64_t redraw_interval = 1000;
  bool redraw_each_epoch = false;

  // Steps between validation passes over at most this many documents.
  int64_t validation_interval = 250;
  int64_t validation_documents = 64;
  // Steps between checkpoints.
  int64_t checkpoint_interval = 500;

  uint64_t seed = 1;
  // Documents of a batch are shared out among this many threads (one when there is dropout).
  int32_t threads = 1;

  // Gates half open and distinct dates: the published draw learns slowly on small data.
  static Initialization InitializationOfShortRuns();
};

// Calls visit(name, field) for every field above but threads. Names are those of PretrainRecipe in
// pretrain_recipe.proto.
template <typename Options, typename Visitor>
void VisitFields(Options& options, Visitor&& visit) {
  auto& shape = options.hyperparameters;
  visit("hidden_size", shape.hidden_size);
  visit("hidden_ff", shape.hidden_ff);
  visit("n_encoders", shape.n_encoders);
  visit("n_heads", shape.n_heads);
  visit("n_local", shape.n_local);
  visit("local_window_size", shape.local_window_size);
  visit("num_random_features", shape.num_random_features);
  visit("max_length", shape.max_length);
  visit("parametrize_emb", shape.parametrize_emb);
  visit("norm_input_emb", shape.norm_input_emb);
  visit("norm_output_emb", shape.norm_output_emb);
  visit("weight_tying", shape.weight_tying);
  visit("epsilon", shape.epsilon);
  visit("emb_dropout", shape.emb_dropout);
  visit("fw_dropout", shape.fw_dropout);
  visit("att_dropout", shape.att_dropout);
  visit("dc_dropout", shape.dc_dropout);
  auto& initialization = options.initialization;
  visit("initial_gate", initialization.gate);
  visit("initial_age_gate", initialization.age_gate);
  visit("initial_abspos_gate", initialization.abspos_gate);
  visit("embedding_scale", initialization.embedding_scale);
  visit("abspos_scale", initialization.abspos_scale);
  visit("steps", options.steps);
  visit("batch_documents", options.batch_documents);
  visit("accumulation", options.accumulation);
  visit("learning_rate", options.learning_rate);
  visit("rising_share", options.rising_share);
  visit("div_factor", options.div_factor);
  visit("final_div_factor", options.final_div_factor);
  visit("beta1", options.beta1);
  visit("min_beta1", options.min_beta1);
  visit("beta2", options.beta2);
  visit("weight_decay", options.weight_decay);
  visit("gradient_clip", options.gradient_clip);
  visit("mask_ratio", options.mask_ratio);
  auto& objective = options.objective;
  visit("mlm_weight", objective.mlm_weight);
  visit("sop_weight", objective.sop_weight);
  visit("sop_original_weight", objective.sop_class_weights[0]);
  visit("sop_reversed_weight", objective.sop_class_weights[1]);
  visit("sop_shuffled_weight", objective.sop_class_weights[2]);
  visit("label_smoothing", objective.label_smoothing);
  auto& augmentation = options.augmentation;
  visit("shuffle_within_events", augmentation.shuffle_within_events);
  visit("timecut", augmentation.timecut);
  visit("resample", augmentation.resample);
  visit("abspos_noise", augmentation.abspos_noise);
  visit("hide_background", augmentation.hide_background);
  visit("drop_tokens", augmentation.drop_tokens);
  visit("gate_drop_tokens", augmentation.gate_drop_tokens);
  visit("n_slots", options.n_slots);
  visit("redraw_interval", options.redraw_interval);
  visit("redraw_each_epoch", options.redraw_each_epoch);
  visit("validation_interval", options.validation_interval);
  visit("validation_documents", options.validation_documents);
  visit("checkpoint_interval", options.checkpoint_interval);
  visit("seed", options.seed);
}

// "life2vec": the paper's configuration; "life2vec-light": that of its light version. Throws c10::ValueError naming the
// known ones.
PretrainOptions PublishedRecipe(const std::string& name);

// Throws c10::ValueError naming the field that is out of range.
void CheckPretrainOptions(const PretrainOptions& options);

// Every field, by name.
std::string ToJson(const PretrainOptions& options);

}  // namespace lifescope
