#include <c10/util/Exception.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/artifact/artifact.h"
#include "server/artifact/pickle.h"
#include "server/command/command.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"
#include "server/corpus/vocabulary.h"
#include "server/model/checkpoint_import.h"

namespace lifescope {
namespace {

struct ImportModelFlags {
  std::string home, name;
  std::string file, vocabulary, hparams_file;
  std::vector<std::string> hparams;  // NAME=VALUE
};

// The fields of --hparams with those of --hparam over them. A value that is not JSON is a string.
std::string Hyperparameters(const ImportModelFlags& flags) {
  using Json = nlohmann::json;
  Json json = Json::object();
  if (!flags.hparams_file.empty()) json = Json::parse(ReadFile(flags.hparams_file), nullptr, false);
  TORCH_CHECK_VALUE(json.is_object(), flags.hparams_file, ": not a JSON object of hyperparameters");
  for (const std::string& hparam : flags.hparams) {
    const size_t equals = hparam.find('=');
    TORCH_CHECK_VALUE(equals != std::string::npos && equals > 0, "--hparam '", hparam, "', expected NAME=VALUE");
    const std::string text = hparam.substr(equals + 1);
    const Json value = Json::parse(text, nullptr, false);
    json[hparam.substr(0, equals)] = value.is_discarded() ? Json(text) : value;
  }
  return json.dump();
}

// "sop_weight, mlm_weight and 12 more"; the names are the file's, so they are quoted.
std::string Names(const std::vector<std::string>& names) {
  constexpr size_t kMostShown = 8;
  std::string text;
  for (size_t i = 0; i < names.size() && i < kMostShown; ++i)
    absl::StrAppend(&text, i == 0 ? "" : ", ", Quoted(names[i]));
  if (names.size() > kMostShown) absl::StrAppend(&text, " and ", names.size() - kMostShown, " more");
  return text;
}

void PrintFindings(const std::string& path, const CheckpointImportReport& report) {
  std::string head = report.format;
  if (!report.lightning_version.empty()) absl::StrAppend(&head, " of version ", Quoted(report.lightning_version));
  if (report.epoch) absl::StrAppend(&head, ", epoch ", *report.epoch);
  if (report.global_step) absl::StrAppend(&head, ", step ", *report.global_step);
  std::printf("%s: %s\n", path.c_str(), head.c_str());
  if (!report.unused_tensors.empty()) std::printf("  tensors not used: %s\n", Names(report.unused_tensors).c_str());
  if (!report.unused_entries.empty()) std::printf("  entries not used: %s\n", Names(report.unused_entries).c_str());
  for (const std::string& note : report.notes) std::printf("  %s\n", note.c_str());
  std::printf("  self-check: three made-up documents, alone and batched, agree to %.1e of the largest value\n",
              report.self_check_deviation);
}

void ImportModel(const ImportModelFlags& flags) {
  const Stopwatch stopwatch;
  const std::string folder = ModelFolder(flags.home, flags.name);
  PrepareNewArtifact(folder);
  const Vocabulary vocabulary = Vocabulary::Load(flags.vocabulary);
  CheckpointImportOptions options;
  options.file = flags.file;
  options.vocabulary_tsv = vocabulary.ToTsv();
  options.vocabulary_size = vocabulary.size();
  options.hyperparameters = Hyperparameters(flags);
  options.hyperparameters_source = "--hparams and --hparam";
  const CheckpointImportReport report = ImportCheckpoint(options, folder);
  PrintFindings(flags.file, report);
  PrintEndLine(folder,
               absl::StrCat(report.tensor_count, " tensors, ", report.parameter_count, " parameters, ", report.dtype,
                            ", vocabulary ", vocabulary.size(), ", ",
                            report.has_pretraining_heads ? "with the masked-token and sentence-order heads"
                                                         : "without heads: no masked-token and sentence-order logits"),
               report.digest, stopwatch.Seconds());
}

}  // namespace

void AddImportModelCommand(CLI::App& app) {
  auto flags = std::make_shared<ImportModelFlags>();
  CLI::App* verb = app.add_subcommand(
      "import-model",
      "Turn a life2vec checkpoint (.ckpt of Lightning, .pth, safetensors) into a model; nothing in it is run");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--name", flags->name, "Name of the new model")->required();
  verb->add_option("FILE", flags->file, "The checkpoint")->required()->check(CLI::ExistingFile);
  verb->add_option("--vocabulary", flags->vocabulary,
                   "The model's tokens: result.tsv of the public pipeline, or vocab.tsv")
      ->required()
      ->check(CLI::ExistingFile);
  verb->add_option("--hparams", flags->hparams_file, "JSON object of hyperparameters that the checkpoint does not hold")
      ->check(CLI::ExistingFile);
  verb->add_option("--hparam", flags->hparams, "One of them, NAME=VALUE, over --hparams; may be repeated");
  verb->footer(
      "Examples:\n"
      "  lifescoped import-model --home my-home --name base last.ckpt --vocabulary result.tsv\n"
      "  lifescoped import-model --home my-home --name encoder encoder.pth --vocabulary result.tsv \\\n"
      "    --hparam n_local=7 --hparam local_window_size=38 --hparam max_length=2560 --hparam hidden_act=swish");
  verb->callback([flags] { ImportModel(*flags); });
}

}  // namespace lifescope
