#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "server/artifact/safetensors.h"
#include "server/command/command.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"
#include "server/dictionary/files/saelens.h"
#include "server/dictionary/input_scale.h"
#include "server/dictionary/training/topk_recipes.h"
#include "server/training/activation_scale.h"
#include "server/training/activation_stream.h"
#include "server/training/saved_state.h"

namespace lifescope {
namespace {

constexpr char kSettings[] = "settings";
constexpr char kScale[] = "scale";
constexpr char kTrainerPrefix[] = "trainer.";
constexpr char kStreamPrefix[] = "stream.";
// Steps over which the reported figures are averaged.
constexpr int64_t kReportedSteps = 100;

struct TrainSaeFlags {
  std::string home, model, corpus, name;
  std::string hook = "blocks.1.hook_resid_post";
  int64_t features = 512;
  int64_t k = 16;
  int64_t steps = 2000;
  int64_t batch = 1024;
  double learning_rate = 0;
  uint64_t seed = 1;
  int64_t checkpoint_interval = 500;
  bool resume = false;
  int32_t threads = 0;
};

TopKRecipe RecipeOf(const TrainSaeFlags& flags, int64_t activation_dim) {
  TopKRecipe recipe = DictionaryLearningTopK(activation_dim, flags.features);
  recipe.objective.selection.k = static_cast<double>(flags.k);
  // The reference's schedule is for long runs: warm-up, decay and the patience with silent features keep their share of
  // a short one.
  recipe.objective.dead.after = std::min(recipe.objective.dead.after, flags.steps * flags.batch / 10);
  RateSchedule& schedule = recipe.loop.schedule;
  if (flags.learning_rate > 0) schedule.peak = flags.learning_rate;
  schedule.warmup_steps = std::min<int64_t>(schedule.warmup_steps, flags.steps / 20);
  schedule.decay_start = flags.steps * 4 / 5;
  schedule.total_steps = flags.steps;
  recipe.loop.seed = flags.seed;
  return recipe;
}

ActivationStreamOptions StreamOptions(const TrainSaeFlags& flags) {
  ActivationStreamOptions options;
  options.buffer_rows = std::max(options.buffer_rows, 2 * flags.batch);
  options.seed = flags.seed;
  return options;
}

// Means over the last steps: one batch says little about how many features fire.
class Report {
 public:
  void Add(const SaeStep& step) {
    steps_.push_back(step);
    if (static_cast<int64_t>(steps_.size()) > kReportedSteps) steps_.erase(steps_.begin());
  }
  std::string Text() const {
    double loss = 0, fvu = 0, l0 = 0;
    for (const SaeStep& step : steps_) {
      loss += step.loss;
      fvu += step.fvu;
      l0 += step.l0;
    }
    const auto count = static_cast<double>(steps_.size());
    return absl::StrFormat("loss %.4f  FVU %.4f  L0 %.1f  dead %d", loss / count, fvu / count, l0 / count,
                           steps_.back().dead_feature_count);
  }

 private:
  std::vector<SaeStep> steps_;
};

// A run in progress, and its checkpoint: trainer, place in the stream and scale, all to the bit.
class SaeRun {
 public:
  explicit SaeRun(const TrainSaeFlags& flags)
      : flags_(flags),
        folder_(DictionaryFolder(flags.home, flags.name)),
        checkpoint_(CheckpointFile(flags.home, flags.name)),
        model_(OpenModel(flags.home, flags.model)),
        corpus_(OpenCorpus(flags.home, flags.corpus)) {
    CheckSameVocabulary(model_, corpus_);
    TORCH_CHECK_VALUE(flags.k <= flags.features, "--k ", flags.k, ", expected at most --features ", flags.features);
    stream_ = std::make_unique<ActivationStream>(
        std::vector<StreamedModel>{{model_.transformer, {HookPoint::Parse(flags.hook)}}}, corpus_.corpus,
        StreamOptions(flags));
    int64_t width = 1;
    for (const int64_t size : ShapeAt(HookPoint::Parse(flags.hook), model_.transformer->hyperparameters()))
      width *= size;
    const TopKRecipe recipe = RecipeOf(flags, width);
    objective_ = std::make_shared<TopKObjective>(recipe.objective);
    trainer_ = std::make_unique<SaeTrainer>(objective_, recipe.loop);
    const bool has_checkpoint = std::filesystem::exists(checkpoint_);
    if (flags.resume) {
      TORCH_CHECK_VALUE(has_checkpoint, "--resume: no checkpoint ", checkpoint_);
      Load();
    } else {
      TORCH_CHECK_VALUE(!has_checkpoint, "an unfinished run of this name left ", checkpoint_,
                        ": go on with --resume, or remove that file");
      scale_ = EstimateScale(ActivationScale::kUnitMeanSquare, stream_->Peek(StreamOptions(flags).buffer_rows));
    }
  }

  void Train(ProgressBar& bar) {
    while (trainer_->step_count() < flags_.steps) {
      const at::Tensor rows = stream_->Next(flags_.batch) * scale_;
      const SaeStep step = trainer_->Step({rows, rows});
      TORCH_CHECK_VALUE(std::isfinite(step.loss), "the loss of step ", trainer_->step_count(), " is ", step.loss,
                        ": choose a smaller --learning-rate");
      report_.Add(step);
      bar.Update(trainer_->step_count(), report_.Text());
      const bool done = trainer_->step_count() == flags_.steps;
      if (!done && trainer_->step_count() % flags_.checkpoint_interval == 0) Save();
    }
  }

  void Finish(double seconds) {
    DictionaryWeights weights =
        FoldInputScale(objective_->Export(trainer_->parameters(), trainer_->state()), scale_, FeatureUnits::kOfRows);
    for (auto& [name, tensor] : weights.tensors) tensor = tensor.to(at::kFloat);
    WriteSaeLens(folder_, weights, {flags_.model, flags_.hook});
    std::filesystem::remove(checkpoint_);
    const LoadedDictionary written = OpenDictionary(flags_.home, flags_.name);
    PrintEndLine(
        folder_,
        absl::StrFormat("%d features, k %d, %s of model %s; %d steps, %.1f epochs of %d rows; %s", flags_.features,
                        flags_.k, flags_.hook, flags_.model, trainer_->step_count(),
                        static_cast<double>(stream_->rows_served()) / static_cast<double>(stream_->epoch_rows()),
                        stream_->epoch_rows(), report_.Text()),
        written.digest, seconds);
  }

 private:
  // What a resumed run must agree on.
  nlohmann::json Settings() const {
    return {{"model", model_.digest}, {"corpus", corpus_.corpus->digest()},
            {"hook", flags_.hook},    {"features", flags_.features},
            {"k", flags_.k},          {"steps", flags_.steps},
            {"batch", flags_.batch},  {"learning_rate", flags_.learning_rate},
            {"seed", flags_.seed}};
  }

  void CheckSettings(const nlohmann::json& stored) const {
    const nlohmann::json settings = Settings();
    for (const auto& [name, expected] : settings.items()) {
      TORCH_CHECK_VALUE(stored.value(name, nlohmann::json()) == expected, "--resume: the stopped run had ", name, " ",
                        stored.value(name, nlohmann::json()).dump(), ", this one has ", expected.dump());
    }
  }

  void Save() const {
    SavedState state;
    PutUnder(kTrainerPrefix, trainer_->State(), state);
    PutUnder(kStreamPrefix, stream_->State(), state);
    state[kScale] = at::tensor({scale_}, at::kDouble);
    WriteSafetensors(checkpoint_, state, {{kSettings, Settings().dump()}});
  }

  void Load() {
    const SafetensorsFile file = SafetensorsFile::Open(checkpoint_);
    const auto settings = file.metadata().find(kSettings);
    TORCH_CHECK_VALUE(settings != file.metadata().end(), checkpoint_, ": not a checkpoint of train-sae");
    CheckSettings(nlohmann::json::parse(settings->second));
    const SavedState state = ReadState(file);
    trainer_->Restore(Under(kTrainerPrefix, state));
    stream_->Restore(Under(kStreamPrefix, state));
    scale_ = SavedTensor(state, kScale, at::kDouble).item<double>();
  }

  const TrainSaeFlags flags_;
  const std::string folder_, checkpoint_;
  const OpenedModel model_;
  const OpenedCorpus corpus_;
  std::unique_ptr<ActivationStream> stream_;
  std::shared_ptr<const TopKObjective> objective_;
  std::unique_ptr<SaeTrainer> trainer_;
  double scale_ = 1;
  Report report_;
};

void TrainSae(const TrainSaeFlags& flags) {
  const Stopwatch stopwatch;
  PrepareNewArtifact(DictionaryFolder(flags.home, flags.name));
  PrepareCompute(flags.threads);
  SaeRun run(flags);
  {
    ProgressBar bar("train-sae", flags.steps);
    run.Train(bar);
  }
  run.Finish(stopwatch.Seconds());
}

}  // namespace

void AddTrainSaeCommand(CLI::App& app) {
  auto flags = std::make_shared<TrainSaeFlags>();
  CLI::App* verb = app.add_subcommand("train-sae", "Train a TopK sparse autoencoder on a model's activations");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--model", flags->model, "Model to read activations from")->required();
  verb->add_option("--corpus", flags->corpus, "Corpus to run the model on (its training split)")->required();
  verb->add_option("--name", flags->name, "Name of the new dictionary")->required();
  verb->add_option("--hook", flags->hook, "Hook point whose activations are learnt")->capture_default_str();
  const auto add = [&](const char* flag, int64_t& value, const char* help) {
    verb->add_option(flag, value, help)->check(CLI::PositiveNumber)->capture_default_str();
  };
  add("--features", flags->features, "Features of the dictionary");
  add("--k", flags->k, "Active features of a row");
  add("--steps", flags->steps, "Optimiser steps");
  add("--batch", flags->batch, "Rows of a step");
  add("--checkpoint-every", flags->checkpoint_interval, "Steps between checkpoints");
  verb->add_option("--learning-rate", flags->learning_rate, "0: 2e-4 / sqrt(features / 16384)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_option("--seed", flags->seed, "Seed of weights and order")->capture_default_str();
  verb->add_flag("--resume", flags->resume,
                 "Go on from the checkpoint of a stopped run, with the same flags: the result is the same to the bit, "
                 "given as many threads");
  AddThreadsOption(*verb, flags->threads);
  verb->footer(
      "Example:\n  lifescoped train-sae --home my-home --model small --corpus world --name small-resid1 --features 512 "
      "--k 16");
  verb->callback([flags] { TrainSae(*flags); });
}

}  // namespace lifescope
