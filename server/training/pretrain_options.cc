#include "server/training/pretrain_options.h"

#include <c10/util/Exception.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace lifescope {
namespace {

void CheckAtLeast(const char* name, int64_t value, int64_t lowest) {
  TORCH_CHECK_VALUE(value >= lowest, name, ": ", value, ", expected at least ", lowest);
}

void CheckPositive(const char* name, double value) {
  TORCH_CHECK_VALUE(std::isfinite(value) && value > 0, name, ": ", value, ", expected a number above 0");
}

void CheckNotNegative(const char* name, double value) {
  TORCH_CHECK_VALUE(std::isfinite(value) && value >= 0, name, ": ", value, ", expected 0 or more");
}

void CheckShare(const char* name, double value) {
  TORCH_CHECK_VALUE(value >= 0 && value <= 1, name, ": ", value, ", expected 0 to 1");
}

void CheckBelowOne(const char* name, double value) {
  TORCH_CHECK_VALUE(value >= 0 && value < 1, name, ": ", value, ", expected 0 to below 1");
}

void CheckShape(const Hyperparameters& shape) {
  CheckAtLeast("hidden_size", shape.hidden_size, 1);
  CheckAtLeast("hidden_ff", shape.hidden_ff, 1);
  CheckAtLeast("n_encoders", shape.n_encoders, 1);
  CheckAtLeast("n_heads", shape.n_heads, 1);
  CheckAtLeast("local_window_size", shape.local_window_size, 1);
  CheckAtLeast("num_random_features", shape.num_random_features, 1);
  CheckAtLeast("max_length", shape.max_length, 0);
  TORCH_CHECK_VALUE(shape.hidden_size % shape.n_heads == 0, "n_heads: ", shape.n_heads,
                    ", expected a divisor of hidden_size, ", shape.hidden_size);
  TORCH_CHECK_VALUE(shape.n_local >= 0 && shape.n_local <= shape.n_heads, "n_local: ", shape.n_local,
                    ", expected 0 to n_heads, ", shape.n_heads);
  CheckPositive("epsilon", shape.epsilon);
  CheckBelowOne("emb_dropout", shape.emb_dropout);
  CheckBelowOne("fw_dropout", shape.fw_dropout);
  CheckBelowOne("att_dropout", shape.att_dropout);
  CheckBelowOne("dc_dropout", shape.dc_dropout);
}

void CheckTasks(const PretrainOptions& options) {
  TORCH_CHECK_VALUE(options.mask_ratio > 0 && options.mask_ratio < 1, "mask_ratio: ", options.mask_ratio,
                    ", expected between 0 and 1");
  CheckNotNegative("mlm_weight", options.objective.mlm_weight);
  CheckNotNegative("sop_weight", options.objective.sop_weight);
  for (const double weight : options.objective.sop_class_weights) CheckPositive("weight of a sentence order", weight);
  CheckBelowOne("label_smoothing", options.objective.label_smoothing);
  const AugmentationOptions& augmentation = options.augmentation;
  CheckShare("timecut", augmentation.timecut);
  CheckShare("resample", augmentation.resample);
  CheckShare("abspos_noise", augmentation.abspos_noise);
  CheckShare("hide_background", augmentation.hide_background);
  CheckShare("drop_tokens", augmentation.drop_tokens);
}

void CheckOptimisation(const PretrainOptions& options) {
  CheckAtLeast("steps", options.steps, 1);
  CheckAtLeast("batch_documents", options.batch_documents, 1);
  CheckAtLeast("accumulation", options.accumulation, 1);
  CheckPositive("learning_rate", options.learning_rate);
  CheckShare("rising_share", options.rising_share);
  CheckPositive("div_factor", options.div_factor);
  CheckPositive("final_div_factor", options.final_div_factor);
  CheckBelowOne("beta1", options.beta1);
  CheckBelowOne("min_beta1", options.min_beta1);
  CheckBelowOne("beta2", options.beta2);
  CheckNotNegative("weight_decay", options.weight_decay);
  CheckPositive("gradient_clip", options.gradient_clip);
}

// What the two published recipes share.
PretrainOptions Published() {
  PretrainOptions options;
  options.initialization = {};
  options.augmentation.shuffle_within_events = true;
  options.steps = 30 * 375;
  return options;
}

}  // namespace

Initialization PretrainOptions::InitializationOfShortRuns() {
  Initialization initialization = Initialization::Open(0.5);
  initialization.abspos_scale = 4;
  return initialization;
}

PretrainOptions PublishedRecipe(const std::string& name) {
  PretrainOptions options = Published();
  Hyperparameters& shape = options.hyperparameters;
  if (name == "life2vec") {
    shape.hidden_size = 280;
    shape.hidden_ff = 2210;
    shape.n_encoders = 5;
    shape.n_heads = 10;
    shape.n_local = 7;
    shape.local_window_size = 38;
    shape.num_random_features = 436;
    shape.max_length = 2560;
    options.batch_documents = 8;
    options.accumulation = 8;
    options.objective.sop_class_weights[0] = 1 / 0.9;
    options.augmentation.resample = 0.4;
    options.augmentation.abspos_noise = 0.1;
    options.augmentation.hide_background = 0.01;
    options.augmentation.drop_tokens = 0.01;
    // An epoch there is 3000 batches; every third is followed by validation.
    options.redraw_interval = 375;
    options.validation_interval = 3 * 375;
    options.validation_documents = 8000;
    return options;
  }
  if (name == "life2vec-light") {
    shape.hidden_size = 96;
    shape.hidden_ff = 512;
    shape.n_encoders = 4;
    shape.n_heads = 8;
    shape.n_local = 2;
    shape.local_window_size = 4;
    shape.num_random_features = 32;
    options.batch_documents = 4;
    options.learning_rate = 1e-3;
    options.redraw_interval = 0;
    options.redraw_each_epoch = true;
    return options;
  }
  TORCH_CHECK_VALUE(false, "recipe '", name, "' is unknown, expected life2vec or life2vec-light");
}

void CheckPretrainOptions(const PretrainOptions& options) {
  CheckShape(options.hyperparameters);
  CheckNotNegative("embedding_scale", options.initialization.embedding_scale);
  CheckNotNegative("abspos_scale", options.initialization.abspos_scale);
  CheckOptimisation(options);
  CheckTasks(options);
  CheckAtLeast("n_slots", options.n_slots, 0);
  CheckAtLeast("redraw_interval", options.redraw_interval, 0);
  CheckAtLeast("validation_interval", options.validation_interval, 1);
  CheckAtLeast("validation_documents", options.validation_documents, 1);
  CheckAtLeast("checkpoint_interval", options.checkpoint_interval, 1);
  CheckAtLeast("threads", options.threads, 1);
}

std::string ToJson(const PretrainOptions& options) {
  nlohmann::ordered_json json;
  VisitFields(options, [&](const char* name, const auto& value) { json[name] = value; });
  json["threads"] = options.threads;
  return json.dump();
}

}  // namespace lifescope
