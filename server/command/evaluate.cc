#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/artifact/artifact.h"
#include "server/command/card_sections.h"
#include "server/command/command.h"
#include "server/command/evaluation_flags.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"

namespace lifescope {
namespace {

struct EvaluateFlags {
  EvaluationFlags evaluation;
  CardSectionFlags sections;
  std::string dictionary, name;
};

void Evaluate(const EvaluateFlags& flags) {
  const Stopwatch stopwatch;
  const std::string& home = flags.evaluation.home;
  const std::string name =
      flags.name.empty() ? absl::StrCat(flags.dictionary, "-", flags.evaluation.corpus, "-", flags.evaluation.split)
                         : flags.name;
  const std::string folder = CardFolder(home, name);
  PrepareNewArtifact(folder);
  PrepareCompute(flags.evaluation.threads);
  const FeaturePairs pairs = PairsOf(flags.sections, home, flags.dictionary);
  DictionaryCard card = EvaluateByName(flags.evaluation, flags.dictionary);
  AddCardSections(flags.sections, flags.evaluation, pairs, &card);
  WriteFolderAtomically(folder, [&](const std::string& partial) {
    WriteFileAtomically(partial + "/card.json", ToJson(card).dump(2) + "\n");
    WriteFileAtomically(partial + "/densities.svg", ToSvg(DensityPlot({card})));
    if (!card.spectrum.empty()) WriteFileAtomically(partial + "/spectrum.svg", ToSvg(SpectrumPlot(card)));
  });
  const std::string text =
      absl::StrCat(ToText(card), "\nwrote ", folder, " (", DurationText(stopwatch.Seconds()), ")\n");
  std::fputs(text.c_str(), stdout);
}

}  // namespace

void AddEvaluateCommand(CLI::App& app) {
  auto flags = std::make_shared<EvaluateFlags>();
  CLI::App* verb = app.add_subcommand("evaluate", "Judge a dictionary: reconstruction, sparsity, loss recovered");
  verb->add_option("--dictionary", flags->dictionary, "Dictionary to judge")->required();
  verb->add_option("--name", flags->name, "Name of the card; default: <dictionary>-<corpus>-<split>");
  AddEvaluationOptions(*verb, flags->evaluation);
  AddCardSectionOptions(*verb, flags->sections);
  verb->footer(
      "Prints a card and writes it to <home>/cards/<name>: card.json, in which every figure has its definition,\n"
      "densities.svg and, unless it is a crosscoder's, spectrum.svg. Brackets are 95 % intervals over persons.\n"
      "`lifescoped metrics` lists the definitions. Probes are of the labels of --by-labels, else of the corpus'\n"
      "traits. -: not defined, the note says why.\n"
      "Example:\n  lifescoped evaluate --home my-home --dictionary small-resid1 --corpus world --by category");
  verb->callback([flags] { Evaluate(*flags); });
}

}  // namespace lifescope
