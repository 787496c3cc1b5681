#include "server/dictionary/baselines/fit_baseline.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/command/command.h"
#include "server/command/dictionary_origin.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"
#include "server/dictionary/files/saelens.h"
#include "server/training/activation_stream.h"

namespace lifescope {
namespace {

// Rows that a fit sees at once.
constexpr int64_t kBatchRows = 4096;

struct FitBaselineFlags {
  std::string home, model, corpus, name, kind;
  std::string hook = "blocks.1.hook_resid_post";
  int64_t rows = 200'000;
  bool is_uncentred = false;
  BaselineOptions options;
  int32_t threads = 0;
};

ActivationStreamOptions StreamOptions(const FitBaselineFlags& flags) {
  ActivationStreamOptions options;
  options.seed = flags.options.seed;
  return options;
}

// What the dictionary makes of rows: those that the stream serves after the fit.
std::string Report(const Dictionary& dictionary, const at::Tensor& rows) {
  const SparseActivations active = EncodeSparse(dictionary, rows);
  double residual = 0;
  for (const at::Tensor& some : rows.split(kBatchRows / 8)) {
    residual += (some - dictionary.Decode(dictionary.Encode(some), some)).to(at::kDouble).square().sum().item<double>();
  }
  const at::Tensor x = rows.to(at::kDouble);
  return absl::StrFormat("FVU %.4f  L0 %.1f", residual / (x - x.mean(0)).square().sum().item<double>(),
                         static_cast<double>(active.values.size(0)) / static_cast<double>(active.rows()));
}

// As train-sae writes it: whose it is, what it was fitted on, and how.
nlohmann::json OriginOf(const BaselineOptions& options, const FitBaselineFlags& flags, const FittedBaseline& fitted,
                        const OpenedModel& model, const OpenedCorpus& corpus) {
  // Another encoder over the same directions is another kind of dictionary.
  const bool pursues = options.uses_gradient_pursuit;
  return {{"method", pursues ? absl::StrCat(flags.kind, "/gradient-pursuit") : flags.kind},
          {"origin",
           {{"corpus", corpus.name},
            {"corpus_digest", corpus.corpus->digest()},
            {"models", {{{"name", model.name}, {"digest", model.digest}}}}}},
          {"settings",
           {{"hook_point", flags.hook},
            {"k", options.k},
            {"features", options.feature_count},
            {"rows", fitted.row_count},
            {"sample_rows", options.sample_rows},
            {"centred", options.is_centred},
            {"seed", options.seed},
            {"batch_rows", options.batch_rows},
            {"step_size", options.step_size},
            {"iterations", options.iterations}}},
          {"remark", fitted.remark}};
}

void FitAndWrite(const FitBaselineFlags& flags) {
  const Stopwatch stopwatch;
  const std::string folder = DictionaryFolder(flags.home, flags.name);
  PrepareNewArtifact(folder);
  PrepareCompute(flags.threads);
  const OpenedModel model = OpenModel(flags.home, flags.model);
  const OpenedCorpus corpus = OpenCorpus(flags.home, flags.corpus);
  CheckSameVocabulary(model, corpus);
  ActivationStream stream({{model.transformer, {HookPoint::Parse(flags.hook)}}}, corpus.corpus, StreamOptions(flags));
  BaselineOptions options = flags.options;
  options.kind = ParseBaselineKind(flags.kind);
  options.is_centred = !flags.is_uncentred;

  FittedBaseline fitted;
  {
    ProgressBar bar("fit-baseline: rows", flags.rows);
    const RowSource source = [&]() -> at::Tensor {
      const int64_t count = std::min(kBatchRows, flags.rows - stream.rows_served());
      if (count == 0) return {};
      at::Tensor rows = stream.Next(count);
      bar.Update(stream.rows_served());
      return rows;
    };
    const FitProgress progress = [&](const char* stage, int64_t done, int64_t total) {
      bar.UpdateStage(absl::StrCat("fit-baseline: ", stage), done, total);
    };
    fitted = FitBaseline(options, source, progress);
  }
  WriteSaeLens(folder, fitted.weights, {flags.model, flags.hook});
  WriteOrigin(folder, OriginOf(options, flags, fitted, model, corpus));
  const LoadedDictionary written = OpenDictionary(flags.home, flags.name);
  const std::string report = Report(*written.dictionary, stream.Next(kBatchRows));
  PrintEndLine(folder,
               absl::StrFormat("%s, %d features, %s of model %s; fitted to %d rows%s%s; %s", flags.kind,
                               written.dictionary->feature_count(), flags.hook, flags.model, fitted.row_count,
                               fitted.remark.empty() ? "" : ", ", fitted.remark, report),
               written.digest, stopwatch.Seconds());
}

}  // namespace

void AddFitBaselineCommand(CLI::App& app) {
  auto flags = std::make_shared<FitBaselineFlags>();
  CLI::App* verb = app.add_subcommand(
      "fit-baseline", "Fit a dictionary that a sparse autoencoder has to beat to a model's activations");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--kind", flags->kind, absl::StrCat("One of ", absl::StrJoin(BaselineKindNames(), ", ")))
      ->required()
      ->check(CLI::IsMember(BaselineKindNames()));
  verb->add_option("--model", flags->model, "Model to read activations from")->required();
  verb->add_option("--corpus", flags->corpus, "Corpus to run the model on (its training split)")->required();
  verb->add_option("--name", flags->name, "Name of the new dictionary")->required();
  verb->add_option("--hook", flags->hook, "Hook point whose activations are fitted")->capture_default_str();
  const auto add = [&](const char* flag, int64_t& value, const CLI::Validator& range, const char* help) {
    verb->add_option(flag, value, help)->check(range)->capture_default_str();
  };
  add("--k", flags->options.k, CLI::NonNegativeNumber,
      "Active features of a row (on average for sparse-coding); 0: as many as there are");
  add("--features", flags->options.feature_count, CLI::NonNegativeNumber,
      "Features of random, sparse-coding (0: twice the width) and nmf (0: the width)");
  add("--rows", flags->rows, CLI::PositiveNumber, "Rows to fit; ica and nmf use no more than --sample-rows");
  add("--sample-rows", flags->options.sample_rows, CLI::PositiveNumber, "Rows that ica and nmf hold in memory");
  verb->add_flag("--gradient-pursuit", flags->options.uses_gradient_pursuit,
                 "Encode by gradient pursuit of k features over the kind's directions");
  verb->add_flag("--uncentred", flags->is_uncentred,
                 "neurons, random and pca: do not subtract the mean of the rows first");
  verb->add_option("--seed", flags->options.seed, "Seed of directions and order")->capture_default_str();
  AddThreadsOption(*verb, flags->threads);
  verb->footer(
      "Example:\n  lifescoped fit-baseline --home my-home --kind pca --k 16 --model small --corpus world --name "
      "small-pca");
  verb->callback([flags] { FitAndWrite(*flags); });
}

}  // namespace lifescope
