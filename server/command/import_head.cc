#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/command/command.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"
#include "server/model/head_import.h"

namespace lifescope {
namespace {

struct ImportHeadFlags {
  std::string home, name, model, file, link;
  std::vector<std::string> targets, classes;
  HeadImportOptions head;
};

void RunImportHead(const ImportHeadFlags& flags) {
  const Stopwatch stopwatch;
  const std::string folder = HeadFolder(flags.home, flags.name);
  PrepareNewArtifact(folder);
  const OpenedModel model = OpenModel(flags.home, flags.model);
  HeadImportOptions options = flags.head;
  options.hidden_size = model.transformer->hyperparameters().hidden_size;
  HeadDescription& description = options.description;
  description.model_digest = model.digest;
  description.epsilon = model.transformer->hyperparameters().epsilon;
  if (description.n_slots == 0) description.n_slots = model.transformer->hyperparameters().max_length;
  const bool personality = options.kind == "ordinal" || options.kind == "flat";
  const bool sigsoftmax = flags.link.empty() ? personality : flags.link == "sigsoftmax";
  description.link = sigsoftmax ? Link::kSigSoftmax : Link::kSoftmax;
  for (const std::string& target : flags.targets) description.targets.push_back({target, flags.classes});
  const std::string digest = ImportHead(options, folder);
  PrintEndLine(folder,
               absl::StrCat(options.kind, " head over model ", flags.model, ": ", absl::StrJoin(flags.targets, ", "),
                            " (", absl::StrJoin(flags.classes, ", "), ")"),
               digest, stopwatch.Seconds());
}

}  // namespace

void AddImportHeadCommand(CLI::App& app) {
  auto flags = std::make_shared<ImportHeadFlags>();
  CLI::App* verb = app.add_subcommand(
      "import-head", "Take the decoder of a fine-tuned checkpoint as a head; nothing in the file is run");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--name", flags->name, "Name of the new head")->required();
  verb->add_option("--model", flags->model, "Its model: the same checkpoint, imported with import-model")->required();
  verb->add_option("FILE", flags->head.file, "The checkpoint")->required()->check(CLI::ExistingFile);
  verb->add_option("--kind", flags->head.kind,
                   "cls ([CLS] row), attention (pooled; mortality, emigration), ordinal or flat (personality)")
      ->required()
      ->check(CLI::IsMember({"cls", "attention", "ordinal", "flat"}));
  verb->add_option("--target", flags->targets, "What is predicted; in the order of the outputs")->required();
  verb->add_option("--classes", flags->classes, "Names of the classes of each target, in order")
      ->required()
      ->delimiter(',');
  verb->add_option("--link", flags->link, "From logits to probabilities; else softmax, or sigsoftmax for personality")
      ->check(CLI::IsMember({"softmax", "sigsoftmax"}));
  verb->add_option("--n-slots", flags->head.description.n_slots,
                   "Padded length that it was trained with; else the model's max_length")
      ->check(CLI::PositiveNumber);
  verb->footer(
      "Example:\n"
      "  lifescoped import-model --home my-home --name mortality mortality.ckpt --vocabulary result.tsv\n"
      "  lifescoped import-head --home my-home --name mortality --model mortality mortality.ckpt --kind attention \\\n"
      "    --target mortality --classes survives,dies");
  verb->callback([flags] { RunImportHead(*flags); });
}

}  // namespace lifescope
