#include <c10/util/Exception.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/command/command.h"
#include "server/command/dictionary_origin.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"
#include "server/dictionary/files/format.h"
#include "server/dictionary/files/saelens.h"
#include "server/model/hook_point.h"

namespace lifescope {
namespace {

struct ImportSaeFlags {
  std::string home, name, from, format = "auto";
  std::string model, hook, output_hook;
};

// What the file says, with the flags over it; both places must be hook points of ours.
DictionaryInfo InfoOf(const ImportSaeFlags& flags, const DictionaryInfo& stored) {
  DictionaryInfo info = stored;
  if (!flags.model.empty()) info.model = flags.model;
  if (!flags.hook.empty()) info.hook_point = flags.hook;
  if (!flags.output_hook.empty()) info.output_hook_point = flags.output_hook;
  TORCH_CHECK_VALUE(!info.model.empty(), flags.from, ": names no model; say which with --model");
  TORCH_CHECK_VALUE(!info.hook_point.empty(), flags.from, ": names no hook point; say which with --hook");
  HookPoint::Parse(info.hook_point);
  if (!info.output_hook_point.empty()) HookPoint::Parse(info.output_hook_point);
  return info;
}

int64_t WidthOf(const std::string& name, const Hyperparameters& hyperparameters) {
  const HookPoint point = HookPoint::Parse(name);
  point.CheckLayer(hyperparameters);
  int64_t width = 1;
  for (const int64_t size : ShapeAt(point, hyperparameters)) width *= size;
  return width;
}

// A model of that name in the home must give and take what the dictionary does.
void CheckFits(const ImportSaeFlags& flags, const DictionaryInfo& info, const DictionaryWeights& weights) {
  if (!std::filesystem::is_directory(ModelFolder(flags.home, info.model))) return;
  const OpenedModel model = OpenModel(flags.home, info.model);
  const auto check = [&](const std::string& point, int64_t found, const char* does) {
    const int64_t expected = WidthOf(point, model.transformer->hyperparameters());
    TORCH_CHECK_VALUE(found == expected, flags.from, ": ", does, " vectors of ", found, ", expected ", expected,
                      ", the width of ", point, " of model ", info.model);
  };
  const DictionaryWidths widths = WidthsOf(weights);
  check(info.hook_point, widths.input, "reads");
  check(info.output_hook_point.empty() ? info.hook_point : info.output_hook_point, widths.output, "writes");
}

void ImportSae(const ImportSaeFlags& flags) {
  const Stopwatch stopwatch;
  const std::string folder = DictionaryFolder(flags.home, flags.name);
  PrepareNewArtifact(folder);
  const DictionaryFormat format = flags.format == "auto" ? DetectFormat(flags.from) : ParseFormat(flags.format);
  const StoredDictionary stored = ImportDictionary(flags.from, format);
  const DictionaryInfo info = InfoOf(flags, stored.info);
  TORCH_CHECK_VALUE(!IsTranscoder(stored.weights, info) || !info.output_hook_point.empty(), flags.from,
                    ": is a transcoder and names no hook point that it predicts; say which with --output-hook");
  CheckFits(flags, info, stored.weights);
  WriteSaeLens(folder, stored.weights, info);
  WriteOrigin(folder, {{"format", FormatName(format)}, {"digest", stored.digest}});
  const LoadedDictionary written = OpenDictionary(flags.home, flags.name);
  PrintEndLine(folder,
               absl::StrCat(written.dictionary->feature_count(), " features, ", written.dictionary->architecture(),
                            written.is_transcoder() ? absl::StrCat(", from ", info.hook_point, " to ",
                                                                   info.output_hook_point, " of model ", info.model)
                                                    : absl::StrCat(", ", info.hook_point, " of model ", info.model),
                            "; from ", FormatName(format), " ", stored.digest),
               written.digest, stopwatch.Seconds());
}

}  // namespace

void AddImportSaeCommand(CLI::App& app) {
  auto flags = std::make_shared<ImportSaeFlags>();
  CLI::App* verb =
      app.add_subcommand("import-sae", "Take a dictionary that another program wrote; nothing in its files is run");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--name", flags->name, "Name of the new dictionary")->required();
  verb->add_option("--from", flags->from, "Its folder, or the file in it")->required()->check(CLI::ExistingPath);
  verb->add_option("--format", flags->format,
                   "auto, saelens, sparsify, dictionary_learning, openai or gemma_scope; auto goes by the files' names")
      ->capture_default_str();
  verb->add_option("--model", flags->model, "Its model, when the files do not name it or name it otherwise");
  verb->add_option("--hook", flags->hook, "Hook point that it reads, likewise");
  verb->add_option("--output-hook", flags->output_hook, "Hook point that a transcoder predicts, likewise");
  verb->footer(
      "Examples:\n"
      "  lifescoped import-sae --home my-home --name topk --from trained/layers.1 --model base \\\n"
      "    --hook blocks.1.hook_resid_post\n"
      "  lifescoped import-sae --home my-home --name scope --from params.npz --format gemma_scope --model base \\\n"
      "    --hook blocks.0.hook_resid_post");
  verb->callback([flags] { ImportSae(*flags); });
}

}  // namespace lifescope
