#include <c10/util/Exception.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "server/app/identity.h"
#include "server/command/command.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/open_store.h"
#include "server/command/progress_bar.h"
#include "server/command/recipe.h"
#include "server/runtime/device.h"
#include "server/training/pretrainer.h"
#include "storage/store.h"

namespace lifescope {
namespace {

struct PretrainFlags {
  std::string home, corpus, name, store;
  int32_t threads = 0;
  bool resume = false;
  PretrainOptions pretrain;
};

Hyperparameters DefaultShape() {
  Hyperparameters shape;
  shape.hidden_size = 64;
  shape.hidden_ff = 256;
  shape.n_encoders = 3;
  shape.n_heads = 8;
  shape.n_local = 4;
  shape.local_window_size = 16;
  shape.num_random_features = 64;
  shape.emb_dropout = shape.fw_dropout = shape.att_dropout = shape.dc_dropout = 0;
  return shape;
}

std::string Figures(const PretrainProgress& progress) {
  std::string text = absl::StrFormat("loss %.3f", progress.line.mlm_loss);
  if (!std::isnan(progress.validation_mlm_loss)) {
    absl::StrAppendFormat(&text, "  validation %.3f", progress.validation_mlm_loss);
  }
  absl::StrAppendFormat(&text, "  unigram %.3f  %.0f tokens/s", progress.unigram_loss, progress.tokens_per_second);
  return text;
}

// A training run in the store. Steps are written before each checkpoint: what a killed process had not written, it does
// again when it is resumed.
class TrainingRecord {
 public:
  TrainingRecord(Store& store, TrainingRunRecord run) : store_(store), run_(std::move(run)) {}

  void Add(const PretrainProgress& progress) {
    const LossLine& line = progress.line;
    metrics_.push_back(
        {line.step, line.learning_rate, line.loss, line.mlm_loss, line.sop_loss, line.validation_mlm_loss});
    if (!progress.is_kept) return;
    ThrowUnlessOk(store_.PutTrainingRun(run_));
    ThrowUnlessOk(store_.AppendTrainingMetrics(run_.run_id, metrics_));
    metrics_.clear();
  }

  void Finish(const OpenedModel& model) {
    auto description = nlohmann::json::parse(model.transformer->hyperparameters().ToJson());
    description["training_run"] = run_.run_id;
    ThrowUnlessOk(
        store_.PutArtifact({ArtifactKind::kModel, model.name, model.digest, description.dump(), absl::Now()}));
  }

 private:
  Store& store_;
  const TrainingRunRecord run_;
  std::vector<TrainingMetricRecord> metrics_;
};

// The stopped run, which the store must hold as far as its checkpoint: its losses are nowhere else to be had from.
PretrainSession ResumedSession(const std::string& folder, Store& store) {
  const StoppedRun stopped = FindStoppedRun(folder);
  const absl::StatusCode found = store.GetTrainingRun(stopped.run_id).status().code();
  TORCH_CHECK_VALUE(stopped.step == 0 || found != absl::StatusCode::kNotFound, "resume: the ", store.backend(),
                    " store does not hold training run ", stopped.run_id, ", which was stopped after step ",
                    stopped.step, "; expected the --store that it began with");
  return {true, stopped.run_id};
}

void PretrainModel(const PretrainFlags& flags) {
  const std::string folder = ModelFolder(flags.home, flags.name);
  // A stopped run may have its model already, and only some files to remove.
  if (!flags.resume) PrepareNewArtifact(folder);
  const OpenedCorpus corpus = OpenCorpus(flags.home, flags.corpus);
  PretrainOptions options = flags.pretrain;
  options.threads = PrepareCompute(flags.threads);
  CheckPretrainOptions(options);
  const std::unique_ptr<Store> store = OpenStoreOf(flags.home, flags.store);
  const PretrainSession session = flags.resume ? ResumedSession(folder, *store) : PretrainSession{false, NewUuid()};
  TrainingRecord record(
      *store, {session.run_id, flags.name, corpus.corpus->digest(), ToJson(options), SoftwareVersion(), absl::Now()});
  PretrainResult result;
  {
    ProgressBar bar("pretrain", options.steps);
    result = Pretrain(
        *corpus.corpus, folder, options,
        [&](const PretrainProgress& progress) {
          record.Add(progress);
          bar.Update(progress.line.step, Figures(progress));
          return true;
        },
        session);
  }
  const OpenedModel model = OpenModel(flags.home, flags.name);
  record.Finish(model);
  PrintEndLine(folder,
               absl::StrFormat("%d parameters, %d steps, %.0f tokens/s; masked-token loss on the validation split %.3f "
                               "nats (best %.3f after %d steps), knowing the token frequencies alone %.3f; training "
                               "run %s in the %s store",
                               model.transformer->ParameterCount(), options.steps, result.tokens_per_second,
                               result.validation_mlm_loss, result.best_validation_loss, result.best_step,
                               result.unigram_loss, session.run_id, store->backend()),
               model.digest, result.seconds);
}

void AddCountOption(CLI::App& verb, const char* flag, int64_t& value, const char* help) {
  verb.add_option(flag, value, help)->check(CLI::PositiveNumber)->capture_default_str();
}

void AddShapeOptions(CLI::App& verb, Hyperparameters& shape) {
  AddCountOption(verb, "--hidden", shape.hidden_size, "Width of the residual stream");
  AddCountOption(verb, "--ff", shape.hidden_ff, "Neurons of each layer's MLP");
  AddCountOption(verb, "--layers", shape.n_encoders, "Layers");
  AddCountOption(verb, "--heads", shape.n_heads, "Attention heads of each layer");
  verb.add_option("--local-heads", shape.n_local, "Of them, heads that attend within windows; the others are global")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  AddCountOption(verb, "--window", shape.local_window_size, "Positions of a local window");
  AddCountOption(verb, "--random-features", shape.num_random_features, "FAVOR+ features of the global heads");
  verb.add_option("--max-length", shape.max_length, "Longest document of the model, in tokens; 0: the corpus's")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb.add_option_function<double>(
          "--dropout",
          [&shape](double share) {
            shape.emb_dropout = shape.fw_dropout = shape.att_dropout = shape.dc_dropout = share;
          },
          "Of every dropout of the model; default 0")
      ->check(CLI::Range(0.0, 0.99));
}

void AddTrainingOptions(CLI::App& verb, PretrainOptions& options) {
  AddCountOption(verb, "--steps", options.steps, "Optimiser steps");
  AddCountOption(verb, "--batch", options.batch_documents, "Documents of a batch");
  AddCountOption(verb, "--accumulate", options.accumulation, "Batches of a step");
  verb.add_option("--learning-rate", options.learning_rate, "Highest learning rate of the one-cycle schedule")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  AddCountOption(verb, "--validate-every", options.validation_interval, "Steps between validations");
  AddCountOption(verb, "--checkpoint-every", options.checkpoint_interval, "Steps between checkpoints");
  verb.add_option("--seed", options.seed, "Seed of weights, masks and order")->capture_default_str();
}

}  // namespace

void AddPretrainCommand(CLI::App& app) {
  auto flags = std::make_shared<PretrainFlags>();
  PretrainOptions& options = flags->pretrain;
  options.hyperparameters = DefaultShape();
  CLI::App* verb = app.add_subcommand("pretrain", "Pre-train a life2vec model on a corpus");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--corpus", flags->corpus, "Corpus to learn from")->required();
  verb->add_option("--name", flags->name, "Name of the new model")->required();
  // Options take effect in the order in which they are added: other flags change the recipe, not the other way round.
  verb->add_option_function<std::string>(
      "--recipe", [&options](const std::string& recipe) { ReadRecipe(recipe, options); },
      "life2vec, life2vec-light, or a file with a PretrainRecipe; other flags change it");
  verb->add_option_function<std::vector<std::string>>(
          "--set", [&options](const std::vector<std::string>& fields) { SetRecipeFields(fields, options); },
          "FIELD=VALUE: any field of a recipe, as often as wanted")
      ->allow_extra_args(false);
  AddShapeOptions(*verb, options.hyperparameters);
  AddTrainingOptions(*verb, options);
  verb->add_flag("--resume", flags->resume,
                 "Go on from the checkpoint of a stopped run, with the same flags: the result is the same to the bit");
  AddStoreOption(*verb, flags->store);
  AddThreadsOption(*verb, flags->threads);
  verb->footer(
      "The fields of a recipe are described in docs/training.md.\n"
      "Examples:\n"
      "  lifescoped pretrain --home my-home --corpus world --name small --steps 1000\n"
      "  lifescoped pretrain --home my-home --corpus registry --name l2v --recipe life2vec --set resample=0.2");
  // The lambdas above hold references into the flags, which live as long as this callback.
  verb->callback([flags] { PretrainModel(*flags); });
}

}  // namespace lifescope
