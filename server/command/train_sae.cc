#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/text_format.h"
#include "server/artifact/artifact.h"
#include "server/artifact/file_lock.h"
#include "server/artifact/safetensors.h"
#include "server/command/activation_sources.h"
#include "server/command/command.h"
#include "server/command/dictionary_origin.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"
#include "server/command/sae_recipe.h"
#include "server/dictionary/files/saelens.h"
#include "server/training/activation_shards.h"
#include "server/training/sae_curve.h"
#include "server/training/sae_session.h"

namespace lifescope {
namespace {

constexpr char kSettings[] = "settings";
constexpr char kSessionPrefix[] = "session.";
constexpr char kCurvePrefix[] = "curve.";

struct TrainSaeFlags {
  std::string home, model, corpus, activations, name, recipe_file;
  std::string hook = "blocks.1.hook_resid_post";
  std::string base = "dictionary_learning/topk";
  int64_t features = 512;
  double k = 0;
  int64_t steps = 2000;
  int64_t batch = 1024;
  double learning_rate = 0;
  uint64_t seed = 1;
  int64_t checkpoint_interval = 500;
  std::vector<std::string> fields;
  bool resume = false;
  int32_t threads = 0;
};

v1::SaeRecipe RecipeOf(const TrainSaeFlags& flags) {
  v1::SaeRecipe recipe;
  if (!flags.recipe_file.empty()) {
    recipe = ReadSaeRecipe(flags.recipe_file);
  } else {
    v1::SaeDictionaryRecipe& dictionary = *recipe.add_dictionaries();
    dictionary.set_base(flags.base);
    dictionary.set_features(flags.features);
    if (flags.k > 0) dictionary.set_k(flags.k);
    if (flags.learning_rate > 0) dictionary.set_learning_rate(flags.learning_rate);
    recipe.set_steps(flags.steps);
    recipe.set_batch_rows(flags.batch);
    recipe.set_seed(flags.seed);
    recipe.set_checkpoint_interval(flags.checkpoint_interval);
  }
  SetDictionaryFields(flags.fields, recipe);
  CompleteSaeRecipe(flags.name, flags.hook, recipe);
  return recipe;
}

OpenedActivations OpenActivations(const TrainSaeFlags& flags, const v1::SaeRecipe& recipe) {
  if (flags.activations.empty()) {
    TORCH_CHECK_VALUE(!flags.model.empty() && !flags.corpus.empty(),
                      "nothing to train on: expected --model and --corpus, or --activations");
    return OpenActivationStream(flags.home, flags.model, flags.corpus, SitesOf(recipe), StreamOptionsOf(recipe));
  }
  TORCH_CHECK_VALUE(
      flags.corpus.empty() && flags.model.empty() && !recipe.with_prefix() && !recipe.without_separators(),
      "--activations: model, corpus and positions are those of their collection; expected no --model, --corpus, "
      "with_prefix or without_separators");
  const auto stream = std::make_shared<ShardStream>(ActivationsFolder(flags.home, flags.activations),
                                                    recipe.buffer_rows(), recipe.seed());
  nlohmann::json origin = nlohmann::json::parse(stream->shards().origin);
  origin["activations"] = flags.activations;
  origin["activations_digest"] = stream->shards().digest;
  return {stream, origin.dump()};
}

std::string ToText(const v1::SaeRecipe& recipe) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(recipe, &text);
  return text;
}

// One training of a name at a time.
std::unique_ptr<FileLock> LockOf(const std::string& checkpoint) {
  std::filesystem::create_directories(std::filesystem::path(checkpoint).parent_path());
  return std::make_unique<FileLock>(checkpoint + ".lock", checkpoint + ": another train-sae is at work on it");
}

// A training in progress, and its checkpoint: trainers, place in the stream, scales and curves, all to the bit.
class SaeRun {
 public:
  explicit SaeRun(const TrainSaeFlags& flags)
      : flags_(flags),
        recipe_(RecipeOf(flags)),
        checkpoint_(CheckpointFile(flags.home, recipe_.dictionaries(0).name())),
        lock_(LockOf(checkpoint_)),
        opened_(OpenActivations(flags, recipe_)) {
    RemoveTemporaries(checkpoint_);
    const bool has_checkpoint = std::filesystem::exists(checkpoint_);
    TORCH_CHECK_VALUE(flags.resume == has_checkpoint,
                      flags.resume ? "--resume: no checkpoint " : "an unfinished run of this name left ", checkpoint_,
                      flags.resume ? "" : ": go on with --resume, or remove that file");
    // A run that was killed while it ended has some of its dictionaries.
    for (const v1::SaeDictionaryRecipe& dictionary : recipe_.dictionaries()) {
      const std::string folder = DictionaryFolder(flags.home, dictionary.name());
      if (!flags.resume) PrepareNewArtifact(folder);
      std::filesystem::remove_all(StoppedFolder(folder));
    }
    session_ = std::make_unique<SaeSession>(opened_.source, PlansOf(recipe_, opened_.source->sites()),
                                            SaeSessionOptions{recipe_.batch_rows(), recipe_.buffer_rows()});
    curves_.assign(static_cast<size_t>(recipe_.dictionaries_size()), SaeCurve(recipe_.steps()));
    if (flags.resume) Load();
  }

  int64_t steps() const { return recipe_.steps(); }

  void Train(ProgressBar& bar) {
    const Stopwatch stopwatch;
    const int64_t first = session_->step_count();
    while (session_->step_count() < recipe_.steps() && !session_->all_stopped()) {
      const std::vector<std::optional<SaeStep>> done = session_->Step();
      const int64_t step = session_->step_count();
      std::vector<std::string> figures;
      for (size_t i = 0; i < curves_.size(); ++i) {
        if (done[i]) {
          curves_[i].Add(step, *done[i]);
        } else if (session_->stop(i)->step == step) {
          bar.Note(absl::StrCat("train-sae: ", StopOf(i), "; the others go on"));
        }
        figures.push_back(Figures(i));
      }
      // A row is the position of one token.
      const double rows = static_cast<double>((step - first) * recipe_.batch_rows());
      bar.Update(step, absl::StrFormat("%s  %.0f tokens/s", absl::StrJoin(figures, " | "), rows / stopwatch.Seconds()));
      // Also after the last step: a run that is killed while it ends goes on from there.
      if (step % recipe_.checkpoint_interval() == 0 || step == recipe_.steps()) Save();
    }
  }

  // Writes the dictionaries. Throws c10::ValueError in the end, when the others are there, naming those that were
  // stopped: they have no weights, and their training.* lie in the StoppedFolder.
  void Finish(double seconds) {
    std::vector<std::string> stops;
    for (size_t i = 0; i < curves_.size(); ++i) {
      if (session_->stop(i)) {
        const std::string folder = StoppedFolder(FolderOf(i));
        std::filesystem::create_directories(folder);
        WriteProvenance(folder, i);
        stops.push_back(absl::StrCat(StopOf(i), ", see ", folder));
      } else {
        WriteDictionary(i, seconds);
      }
    }
    std::filesystem::remove(checkpoint_);
    TORCH_CHECK_VALUE(stops.empty(), absl::StrJoin(stops, "; "));
  }

 private:
  const v1::SaeDictionaryRecipe& Dictionary(size_t index) const {
    return recipe_.dictionaries(static_cast<int>(index));
  }
  std::string FolderOf(size_t index) const { return DictionaryFolder(flags_.home, Dictionary(index).name()); }
  // What is left of a dictionary that was stopped.
  static std::string StoppedFolder(const std::string& folder) { return HiddenBeside(folder, ".stopped"); }

  std::string StopOf(size_t index) const {
    const SaeStop& stop = *session_->stop(index);
    return absl::StrFormat(
        "dictionary %s was stopped at step %d: its loss, a gradient or a weight is not finite (the last finite loss: "
        "%g)",
        Dictionary(index).name(), stop.step, stop.last_finite_loss);
  }

  void WriteDictionary(size_t index, double seconds) const {
    const v1::SaeDictionaryRecipe& dictionary = Dictionary(index);
    const std::string folder = FolderOf(index);
    const DictionaryWeights weights = session_->Export(index);
    const DictionaryInfo info = InfoOf(dictionary);
    if (!std::filesystem::exists(folder)) {
      WriteSaeLens(folder, weights, info);
    } else {
      CheckIsOurs(folder, weights);
    }
    WriteProvenance(folder, index);
    const LoadedDictionary written = OpenDictionary(flags_.home, dictionary.name());
    const ActivationSource& source = *opened_.source;
    PrintEndLine(
        folder,
        absl::StrFormat("%d features, %s, %s of model %s; %d steps, %.1f epochs of %d rows; %s", dictionary.features(),
                        dictionary.base(), info.hook_point, info.model, session_->step_count(),
                        static_cast<double>(source.rows_served()) / static_cast<double>(source.epoch_rows()),
                        source.epoch_rows(), Figures(index)),
        written.digest, seconds);
  }

  std::string ModelName() const {
    const auto origin = nlohmann::json::parse(opened_.origin);
    return origin.contains("models") ? origin["models"][0]["name"].get<std::string>() : "";
  }

  // Hook points without the name of a model that is the only one. A crosscoder's are joined.
  DictionaryInfo InfoOf(const v1::SaeDictionaryRecipe& dictionary) const {
    std::vector<std::string> sites(dictionary.reads().begin(), dictionary.reads().end());
    if (!dictionary.predicts().empty()) sites.push_back(dictionary.predicts());
    std::set<std::string> models;
    for (const std::string& site : sites) models.insert(ParseSite(site).model);
    if (models.size() == 1) {
      for (std::string& site : sites) site = ParseSite(site).hook_point;
    }
    DictionaryInfo info;
    info.model = models.begin()->empty() ? ModelName() : *models.begin();
    if (!dictionary.predicts().empty()) {
      info.output_hook_point = sites.back();
      sites.pop_back();
    }
    info.hook_point = absl::StrJoin(sites, "+");
    return info;
  }

  // A run that was killed while it ended has written some of its dictionaries; nobody else's may be in their place.
  static void CheckIsOurs(const std::string& folder, const DictionaryWeights& weights) {
    const DictionaryWeights written = ReadSaeLens(folder).weights;
    bool same = written.tensors.size() == weights.tensors.size();
    for (const auto& [name, tensor] : weights.tensors) {
      const auto found = written.tensors.find(name);
      same = same && found != written.tensors.end() && at::equal(found->second.to(at::kDouble), tensor.to(at::kDouble));
    }
    TORCH_CHECK_VALUE(same, folder,
                      ": is there already and is another dictionary; the checkpoint keeps what was trained");
  }

  std::string Figures(size_t index) const {
    const std::string name = curves_.size() > 1 ? Dictionary(index).name() + " " : "";
    if (session_->stop(index)) return absl::StrCat(name, "stopped");
    const SaeStep mean = curves_[index].Recent();
    std::vector<std::string> terms;
    for (const auto& [term, value] : mean.terms) terms.push_back(absl::StrFormat("%s %.4g", term, value));
    std::string figures = absl::StrFormat("%sloss %.4f (%s)  FVU %.4f  L0 %.1f  dead %d", name, mean.loss,
                                          absl::StrJoin(terms, ", "), mean.fvu, mean.l0, mean.dead_feature_count);
    if (mean.resampled_feature_count > 0) absl::StrAppend(&figures, "  resampled ", mean.resampled_feature_count);
    return figures;
  }

  // Beside the weights: what they were trained by and on, and how it went.
  void WriteProvenance(const std::string& folder, size_t index) const {
    v1::SaeRecipe own = recipe_;
    own.clear_dictionaries();
    *own.add_dictionaries() = Dictionary(index);
    const SaeSession::Scales& scales = session_->scales(index);
    nlohmann::json training{{"recipe", ToText(own)},
                            {"origin", nlohmann::json::parse(opened_.origin)},
                            {"input_scales", scales.input},
                            {"target_scales", scales.target},
                            {"trained_together", recipe_.dictionaries_size()}};
    // JSON has no NaN: a dictionary without any finite loss has null.
    if (const auto& stop = session_->stop(index)) {
      training["stopped"] = {{"step", stop->step}, {"last_finite_loss", stop->last_finite_loss}};
    }
    const auto write = [&](const char* file, const std::string& text) {
      RemoveTemporaries(folder + file);
      WriteFileAtomically(folder + file, text);
    };
    RemoveTemporaries(folder + "/training.json");
    WriteOrigin(folder, training);
    write("/training.csv", curves_[index].ToCsv());
    write("/training.svg", curves_[index].ToSvg(Dictionary(index).name()));
  }

  // What a resumed run must agree on.
  nlohmann::json Settings() const {
    return {{"recipe", ToText(recipe_)}, {"origin", nlohmann::json::parse(opened_.origin)}};
  }

  void Save() const {
    SavedState state;
    PutUnder(kSessionPrefix, session_->State(), state);
    for (size_t i = 0; i < curves_.size(); ++i) PutUnder(absl::StrCat(kCurvePrefix, i, "."), curves_[i].State(), state);
    WriteSafetensors(checkpoint_, state, {{kSettings, Settings().dump()}});
  }

  void Load() {
    const SafetensorsFile file = SafetensorsFile::Open(checkpoint_);
    const auto stored = file.metadata().find(kSettings);
    TORCH_CHECK_VALUE(stored != file.metadata().end(), checkpoint_, ": not a checkpoint of train-sae");
    const nlohmann::json settings = Settings(), then = nlohmann::json::parse(stored->second);
    for (const auto& [name, expected] : settings.items()) {
      TORCH_CHECK_VALUE(then.value(name, nlohmann::json()) == expected, "--resume: the stopped run had ", name, " ",
                        then.value(name, nlohmann::json()).dump(), ", this one has ", expected.dump());
    }
    const SavedState state = ReadState(file);
    session_->Restore(Under(kSessionPrefix, state));
    for (size_t i = 0; i < curves_.size(); ++i) curves_[i].Restore(Under(absl::StrCat(kCurvePrefix, i, "."), state));
  }

  const TrainSaeFlags flags_;
  const v1::SaeRecipe recipe_;
  const std::string checkpoint_;
  const std::unique_ptr<FileLock> lock_;
  const OpenedActivations opened_;
  std::unique_ptr<SaeSession> session_;
  std::vector<SaeCurve> curves_;
};

void TrainSae(const TrainSaeFlags& flags) {
  const Stopwatch stopwatch;
  PrepareCompute(flags.threads);
  SaeRun run(flags);
  {
    ProgressBar bar("train-sae", run.steps());
    run.Train(bar);
  }
  run.Finish(stopwatch.Seconds());
}

void ListRecipes() {
  for (const PublishedSaeRecipe& recipe : PublishedSaeRecipes()) {
    std::printf("%-32s %s\n", recipe.name.c_str(), recipe.reference.c_str());
  }
}

}  // namespace

void AddTrainSaeCommand(CLI::App& app) {
  auto flags = std::make_shared<TrainSaeFlags>();
  CLI::App* verb = app.add_subcommand("train-sae", "Train sparse autoencoders on a model's activations");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--model", flags->model, "Model to read activations from");
  verb->add_option("--corpus", flags->corpus, "Corpus to run the model on (its training split)");
  verb->add_option("--activations", flags->activations,
                   "Shards of collect-activations, in place of --model and --corpus");
  verb->add_option("--name", flags->name, "Name of the new dictionary, when the recipe does not say it");
  CLI::Option* recipe = verb->add_option("--recipe", flags->recipe_file,
                                         "A file with a SaeRecipe: one or several dictionaries on one stream")
                            ->check(CLI::ExistingFile);
  verb->add_option("--hook", flags->hook, "Hook point that a dictionary without 'reads' learns")->capture_default_str();
  const auto add = [&](const char* flag, auto& value, const char* help) {
    verb->add_option(flag, value, help)->check(CLI::PositiveNumber)->capture_default_str()->excludes(recipe);
  };
  verb->add_option("--base", flags->base, "Published recipe that is followed; --list-recipes names them")
      ->capture_default_str()
      ->excludes(recipe);
  add("--features", flags->features, "Features of the dictionary");
  verb->add_option("--k", flags->k, "Active features of a row; 0: the recipe's")
      ->check(CLI::NonNegativeNumber)
      ->excludes(recipe);
  add("--steps", flags->steps, "Optimiser steps");
  add("--batch", flags->batch, "Rows of a step");
  add("--checkpoint-every", flags->checkpoint_interval, "Steps between checkpoints");
  verb->add_option("--learning-rate", flags->learning_rate, "0: the recipe's")
      ->check(CLI::NonNegativeNumber)
      ->excludes(recipe);
  verb->add_option("--seed", flags->seed, "Seed of weights and order")->capture_default_str()->excludes(recipe);
  verb->add_option("--set", flags->fields,
                   "FIELD=VALUE of SaeDictionaryRecipe for every dictionary, as often as wanted")
      ->allow_extra_args(false);
  verb->add_flag("--resume", flags->resume,
                 "Go on from the checkpoint of a stopped run, with the same flags: the result is the same to the bit, "
                 "given as many threads");
  verb->add_flag_callback(
      "--list-recipes",
      [] {
        ListRecipes();
        throw CLI::Success();
      },
      "Name the published recipes and stop");
  AddThreadsOption(*verb, flags->threads);
  verb->footer(
      "Recipes are explained in docs/dictionaries.md, their fields in proto/lifescope/v1/sae_recipe.proto.\n"
      "Examples:\n"
      "  lifescoped train-sae --home my-home --model small --corpus world --name small-resid1 --features 512 --k 16\n"
      "  lifescoped train-sae --home my-home --model small --corpus world --recipe family.textproto");
  verb->callback([flags] { TrainSae(*flags); });
}

}  // namespace lifescope
