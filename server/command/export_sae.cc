#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/command/command.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"
#include "server/dictionary/files/format.h"
#include "server/dictionary/files/saelens.h"

namespace lifescope {
namespace {

struct ExportSaeFlags {
  std::string home, name, format, to;
};

void ExportSae(const ExportSaeFlags& flags) {
  const Stopwatch stopwatch;
  const DictionaryFormat format = ParseFormat(flags.format);
  // Opened first: what is missing is said with what there is.
  const LoadedDictionary held = OpenDictionary(flags.home, flags.name);
  const StoredDictionary stored = ReadSaeLens(DictionaryFolder(flags.home, flags.name));
  ExportDictionary(flags.to, format, stored.weights, stored.info);
  PrintEndLine(flags.to,
               absl::StrCat("dictionary ", flags.name, " as ", flags.format, ": ", held.dictionary->feature_count(),
                            " features, ", held.dictionary->architecture(), ", ", stored.info.hook_point, " of model ",
                            stored.info.model),
               ImportDictionary(flags.to, format).digest, stopwatch.Seconds());
}

}  // namespace

void AddExportSaeCommand(CLI::App& app) {
  auto flags = std::make_shared<ExportSaeFlags>();
  CLI::App* verb = app.add_subcommand("export-sae", "Write a dictionary as another program reads it");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--name", flags->name, "The dictionary")->required();
  verb->add_option("--format", flags->format, "What reads it")->required()->check(CLI::IsMember(FormatNames()));
  verb->add_option("--to", flags->to, "The new folder; nothing is overwritten")->required();
  verb->footer(
      "Example:\n  lifescoped export-sae --home my-home --name small-resid1 --format sparsify --to "
      "small-resid1-sparsify");
  verb->callback([flags] { ExportSae(*flags); });
}

}  // namespace lifescope
