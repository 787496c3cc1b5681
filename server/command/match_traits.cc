#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/command/command.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"
#include "server/evaluation/concept_coverage.h"
#include "server/evaluation/trait_match.h"

namespace lifescope {
namespace {

struct MatchTraitsFlags {
  std::string home;
  std::string dictionary;
  std::string corpus;
  std::string labels;
  int64_t best = 10;
  int32_t threads = 0;
};

void Match(const MatchTraitsFlags& flags) {
  const Stopwatch stopwatch;
  const OpenedScan scan = OpenScan(flags.home, flags.dictionary, flags.corpus);
  PrepareCompute(flags.threads);
  TraitMatchOptions options;
  options.hook_point = scan.hook_point;
  if (!flags.labels.empty()) options.labels = OpenLabels(flags.home, flags.labels, scan.corpus);
  std::vector<TraitMatch> matches;
  {
    ProgressBar bar("match-traits", 0);
    matches = MatchTraits(*scan.model.transformer, *scan.dictionary.dictionary, *scan.corpus.corpus, options,
                          [&](int64_t done, int64_t total) {
                            bar.UpdateStage("match-traits", done, total);
                            return true;
                          });
  }
  std::string table =
      absl::StrFormat("%-36s %8s %6s %10s %7s %7s\n", "trait", "feature", "F1", "precision", "recall", "share");
  const auto shown = std::min<size_t>(matches.size(), static_cast<size_t>(flags.best));
  for (size_t i = 0; i < shown; ++i) {
    const TraitMatch& match = matches[i];
    absl::StrAppendFormat(&table, "%-36s %8s %6.3f %10.3f %7.3f %7.3f\n", match.trait + " = " + match.value,
                          match.feature == kNoFeature ? "none" : absl::StrCat(match.feature), match.f1, match.precision,
                          match.recall, match.share);
  }
  absl::StrAppendFormat(&table,
                        "%d of %d trait values, measured on persons that neither training nor the choice saw (%s)\n",
                        shown, matches.size(), DurationText(stopwatch.Seconds()));
  std::fputs(table.c_str(), stdout);
}

}  // namespace

void AddMatchTraitsCommand(CLI::App& app) {
  auto flags = std::make_shared<MatchTraitsFlags>();
  CLI::App* verb =
      app.add_subcommand("match-traits", "Which features match labels, or the hidden traits of a synthetic world");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--dictionary", flags->dictionary, "Dictionary to look into")->required();
  verb->add_option("--corpus", flags->corpus, "Corpus whose traits are known, or that the labels are of")->required();
  verb->add_option("--labels", flags->labels, "Label table to match instead of the traits (see lifescoped label)");
  verb->add_option("--best", flags->best, "Rows of the table, best F1 first")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  AddThreadsOption(*verb, flags->threads);
  verb->footer(
      "The feature and its threshold are chosen on the validation split; F1, precision and recall are those of the "
      "test\n"
      "split. share: part of the test tokens on which the trait holds (the precision of a feature that is always on).\n"
      "Example:\n  lifescoped match-traits --home my-home --dictionary small-resid1 --corpus world --best 5");
  verb->callback([flags] { Match(*flags); });
}

}  // namespace lifescope
