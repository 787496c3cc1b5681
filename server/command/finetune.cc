#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/command/command.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/measurement.h"
#include "server/command/progress_bar.h"
#include "server/evaluation/classification_metrics.h"
#include "server/runtime/device.h"
#include "server/training/finetuner.h"

namespace lifescope {
namespace {

struct FinetuneFlags {
  std::string home, model, corpus, labels, name;
  std::vector<std::string> targets;
  bool shuffle_targets = false;
  std::string loss = "cross-entropy";
  bool train_tokens = false;
  bool keep_projections = false;
  LabelRates label_rates;
  BootstrapOptions bootstrap;
  int32_t threads = 0;
  FinetuneOptions finetune;
};

ClassPredictions OfTarget(const PersonPredictions& predictions, int64_t target) {
  return ToClassPredictions(predictions.probabilities.select(1, target), predictions.classes.select(1, target));
}

// The published choices: quadratic kappa for classes with an order, else how well persons are ranked. (AUL and AUC rank
// heads alike.)
double Score(const PersonPredictions& predictions, ClassificationLoss loss) {
  double sum = 0;
  const int64_t targets = predictions.classes.size(1);
  for (int64_t target = 0; target < targets; ++target) {
    const ClassPredictions chosen = OfTarget(predictions, target);
    sum += loss == ClassificationLoss::kClassDistance ? QuadraticKappa(chosen) : MacroAuc(chosen);
  }
  return sum / static_cast<double>(targets);
}

std::vector<ClassTarget> ReadTargets(const FinetuneFlags& flags, const OpenedCorpus& corpus) {
  std::shared_ptr<const LabelTable> labels;
  if (!flags.labels.empty()) labels = OpenLabels(flags.home, flags.labels, corpus);
  const bool uses_labels = std::any_of(flags.targets.begin(), flags.targets.end(),
                                       [](const std::string& text) { return text.rfind("label:", 0) == 0; });
  TORCH_CHECK_VALUE(labels == nullptr || uses_labels, "--labels: no --target is a label:<name>");
  std::vector<ClassTarget> targets;
  for (const std::string& text : flags.targets) {
    const ClassTarget target = ParseClassTarget(text, corpus.corpus, labels);
    targets.push_back(flags.shuffle_targets ? Shuffled(target, *corpus.corpus, flags.finetune.seed) : target);
  }
  return targets;
}

std::string Figures(const FinetuneProgress& progress) {
  std::string text = absl::StrFormat("epoch %d  loss %.3f", progress.epoch, progress.loss);
  if (!std::isnan(progress.validation_score)) {
    absl::StrAppendFormat(&text, "  validation %.3f", progress.validation_score);
  }
  return text;
}

void PrintMeasurements(const FinetuneResult& result, const FinetuneFlags& flags) {
  const std::vector<PredictedTarget>& targets = result.description.targets;
  for (size_t t = 0; t < targets.size(); ++t) {
    const ClassPredictions predictions = OfTarget(result.test, static_cast<int64_t>(t));
    std::string table;
    absl::StrAppendFormat(&table, "%s (%s): %d persons of the test split\n", targets[t].name,
                          absl::StrJoin(targets[t].classes, ", "), predictions.person_count());
    absl::StrAppendFormat(&table, "  %-18s %s\n", "metric", "value [95 % interval over persons]");
    for (const Measurement& m : Measure(predictions, flags.label_rates, flags.bootstrap)) {
      absl::StrAppendFormat(&table, "  %-18s %s%s\n", m.metric, IntervalText(m),
                            m.note.empty() ? "" : absl::StrCat("  ", m.note));
    }
    std::fputs(table.c_str(), stdout);
  }
}

// What head.json keeps of how the head came to be.
std::string TrainingText(const FinetuneOptions& options, const FinetuneFlags& flags, const OpenedModel& base,
                         const OpenedCorpus& corpus, const FinetuneResult& result) {
  return nlohmann::json{{"base_model_digest", base.digest},
                        {"corpus_digest", corpus.corpus->digest()},
                        {"freeze_trunk", options.freeze_trunk},
                        {"freeze_tokens", options.freeze_tokens},
                        {"redraw_projections", options.redraw_projections},
                        {"loss", flags.loss},
                        {"positive_weight", options.loss.positive_weight},
                        {"epochs", options.epochs},
                        {"patience", options.patience},
                        {"batch_documents", options.batch_documents},
                        {"learning_rate", options.rates.decoder},
                        {"layer_decay", options.rates.layer_decay},
                        {"epoch_decay", options.epoch_decay},
                        {"dropout", options.dropout},
                        {"seed", options.seed},
                        {"best_epoch", result.best_epoch},
                        {"validation_score", result.validation_score},
                        {"software_version", SoftwareVersion()}}
      .dump();
}

void FinetuneModel(const FinetuneFlags& flags) {
  const Stopwatch stopwatch;
  const std::string head_folder = HeadFolder(flags.home, flags.name);
  const std::string model_folder = ModelFolder(flags.home, flags.name);
  PrepareNewArtifact(head_folder);
  FinetuneOptions options = flags.finetune;
  if (!options.freeze_trunk) PrepareNewArtifact(model_folder);
  options.loss.loss = ParseClassificationLoss(flags.loss);
  options.freeze_tokens = !flags.train_tokens;
  options.redraw_projections = !flags.keep_projections;
  const OpenedModel model = OpenModel(flags.home, flags.model);
  const OpenedCorpus corpus = OpenCorpus(flags.home, flags.corpus);
  CheckSameVocabulary(model, corpus);
  PrepareCompute(flags.threads);
  CheckLabelRates(flags.label_rates);
  const std::vector<ClassTarget> targets = ReadTargets(flags, corpus);

  std::optional<FinetuneResult> result;
  {
    ProgressBar bar("finetune", 0);
    result = Finetune(
        *model.transformer, *corpus.corpus, targets, options,
        [&](const PersonPredictions& predictions) { return Score(predictions, options.loss.loss); },
        [&](const FinetuneProgress& progress) {
          if (progress.step == 1) bar.Begin("finetune", progress.step_count);
          bar.Update(progress.step, Figures(progress));
          return true;
        });
  }
  result->description.training = TrainingText(options, flags, model, corpus, *result);
  WriteFinetuned(*result, *model.transformer, model.digest, model.vocabulary.ToTsv(), model_folder, head_folder);
  PrintMeasurements(*result, flags);
  if (result->weights) {
    PrintEndLine(model_folder, absl::StrFormat("the trunk of model %s, trained further", flags.model),
                 ModelDigest(model_folder), stopwatch.Seconds());
  }
  PrintEndLine(
      head_folder,
      absl::StrFormat("%s head over model %s, epoch %d, validation score %.3f", options.kind,
                      result->weights ? flags.name : flags.model, result->best_epoch, result->validation_score),
      LoadHead(head_folder, at::kFloat, at::kCPU).digest, stopwatch.Seconds());
}

void AddTargetOptions(CLI::App& verb, FinetuneFlags& flags) {
  verb.add_option(
          "--target", flags.targets,
          "What is predicted of a person: trait:<name> (every value a class), trait:<name>=<value>, or likewise "
          "label:<name>; several with equally many classes are learnt together")
      ->required();
  verb.add_option("--labels", flags.labels, "Label table that label:<name> is looked up in");
  verb.add_flag("--shuffle-target", flags.shuffle_targets,
                "Deal the classes out among the persons at random: a control that must learn nothing");
  verb.add_option("--kind", flags.finetune.kind,
                  "cls ([CLS] row), attention (pooled; mortality, emigration), ordinal or flat (personality)")
      ->check(CLI::IsMember({"cls", "attention", "ordinal", "flat"}))
      ->capture_default_str();
  verb.add_option("--contexts", flags.finetune.context_count, "Of an ordinal head")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb.add_option("--loss", flags.loss, "cross-entropy, class-distance (ordered classes), asymmetric (unlabelled ones)")
      ->check(CLI::IsMember({"cross-entropy", "class-distance", "asymmetric"}))
      ->capture_default_str();
  verb.add_option("--positive-weight", flags.finetune.loss.positive_weight, "Of the asymmetric loss")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb.add_option("--label-beta", flags.label_rates.beta, "Share of positives among persons labelled positive")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb.add_option("--label-alpha", flags.label_rates.alpha, "Share of positives among the others; published: 0.025")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb.add_option("--resamples", flags.bootstrap.resamples, "Draws of persons behind the intervals")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

void AddTrainingOptions(CLI::App& verb, FinetuneFlags& flags) {
  FinetuneOptions& options = flags.finetune;
  verb.add_flag("--freeze-trunk", options.freeze_trunk, "Train the head alone: no new model");
  verb.add_flag("--train-tokens", flags.train_tokens,
                "Train the whole token matrix, not [CLS], [PLCH4] and [UNK] alone");
  verb.add_flag("--keep-projections", flags.keep_projections, "Do not redraw the FAVOR+ projections after each epoch");
  const auto add = [&](const char* flag, auto& value, const char* help) {
    verb.add_option(flag, value, help)->check(CLI::PositiveNumber)->capture_default_str();
  };
  add("--epochs", options.epochs, "Passes over the training split, at most");
  add("--patience", options.patience, "Epochs without a better validation score before it ends");
  add("--batch", options.batch_documents, "Documents of a step");
  add("--learning-rate", options.rates.decoder, "Of the head in the first epoch");
  add("--layer-decay", options.rates.layer_decay, "Learning rate of a layer, as part of the one above");
  add("--epoch-decay", options.epoch_decay, "Learning rate of an epoch, as part of the one before");
  verb.add_option("--dropout", options.dropout, "Of the head; the trunk has its own")
      ->check(CLI::Range(0.0, 0.99))
      ->capture_default_str();
  verb.add_option("--seed", options.seed, "Seed of weights, order and draws")->capture_default_str();
}

}  // namespace

void AddFinetuneCommand(CLI::App& app) {
  auto flags = std::make_shared<FinetuneFlags>();
  CLI::App* verb = app.add_subcommand("finetune", "Fine-tune a model to classify persons: a head, and a new trunk");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--model", flags->model, "Model to start from")->required();
  verb->add_option("--corpus", flags->corpus, "Corpus of the persons")->required();
  verb->add_option("--name", flags->name, "Name of the new head and, unless --freeze-trunk, of the new model")
      ->required();
  AddTargetOptions(*verb, *flags);
  AddTrainingOptions(*verb, *flags);
  AddThreadsOption(*verb, flags->threads);
  verb->footer(
      "Trains on the training split, keeps the epoch that is best on the validation split, measures it once on the "
      "test\n"
      "split.\n"
      "Example:\n  lifescoped finetune --home my-home --model small --corpus world --name heart --target "
      "trait:illness=cardiac");
  verb->get_option("--freeze-trunk")
      ->excludes("--train-tokens")
      ->excludes("--keep-projections")
      ->excludes("--layer-decay");
  verb->callback([flags, verb] {
    if (flags->finetune.kind != "ordinal" && verb->count("--contexts") > 0) {
      throw CLI::ValidationError("--contexts", "is of --kind ordinal");
    }
    if (flags->loss != "asymmetric" && verb->count("--positive-weight") > 0) {
      throw CLI::ValidationError("--positive-weight", "is of --loss asymmetric");
    }
    flags->bootstrap.seed = flags->finetune.seed;
    FinetuneModel(*flags);
  });
}

}  // namespace lifescope
