#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/artifact/artifact.h"
#include "server/command/command.h"
#include "server/command/home.h"
#include "server/command/measurement.h"
#include "server/command/progress_bar.h"
#include "server/evaluation/concept_coverage.h"
#include "server/evaluation/trait_coverage.h"
#include "server/runtime/device.h"

namespace lifescope {
namespace {

struct CoverageFlags {
  std::string home, corpus, labels, json;
  std::vector<std::string> dictionaries;
  TraitCoverageOptions options;
  int32_t threads = 0;
};

// A dictionary and what was measured of it.
struct Measured {
  std::string name, digest, model, model_digest, hook_point;
  int64_t feature_count = 0;
  TraitCoverage coverage;
};

Measured MeasureOne(const CoverageFlags& flags, const std::string& name) {
  const OpenedScan scan = OpenScan(flags.home, name, flags.corpus);
  TraitCoverageOptions options = flags.options;
  options.match.hook_point = scan.hook_point;
  if (!flags.labels.empty()) options.match.labels = OpenLabels(flags.home, flags.labels, scan.corpus);
  const Dictionary& dictionary = *scan.dictionary.dictionary;
  ProgressBar bar("coverage", 0);
  return {
      name,
      scan.dictionary.digest,
      scan.model.name,
      scan.model.digest,
      scan.hook_point.ToString(),
      dictionary.feature_count(),
      CoverTraits(*scan.model.transformer, dictionary, *scan.corpus.corpus, options, [&](int64_t done, int64_t total) {
        bar.UpdateStage(absl::StrCat("coverage ", name), done, total);
        return true;
      })};
}

// Of the first figure, person by person: the same persons are drawn for both dictionaries.
Measurement Difference(const TraitCoverage& coverage, const TraitCoverage& first) {
  std::vector<double> draws;
  for (size_t i = 0; i < coverage.draws.front().size(); ++i) {
    draws.push_back(coverage.draws.front()[i] - first.draws.front()[i]);
  }
  const Measurement& own = coverage.figures.front();
  return WithInterval({own.metric, own.value - first.figures.front().value, 0, 0, own.note}, draws,
                      coverage.test_person_count);
}

std::string TableText(const std::vector<Measured>& all, const TraitCoverageOptions& options) {
  constexpr char kRow[] = "%-24s %8s %7s %22s %22s %22s %25s\n";
  std::string table = absl::StrFormat(kRow, "dictionary", "features", "L0", "coverage", "shared threshold",
                                      "reconstruction", "coverage - first");
  for (const Measured& one : all) {
    const std::vector<Measurement>& figures = one.coverage.figures;
    const bool is_first = &one == &all.front();
    absl::StrAppendFormat(&table, kRow, one.name, absl::StrCat(one.feature_count),
                          absl::StrFormat("%.2f", one.coverage.l0), IntervalText(figures[0]), IntervalText(figures[1]),
                          IntervalText(figures[2]),
                          is_first ? "" : IntervalText(Difference(one.coverage, all.front().coverage), true));
  }
  const TraitCoverage& first = all.front().coverage;
  absl::StrAppendFormat(&table, kRow, "(always on)", "", "", IntervalText(first.figures.back()), "", "", "");
  absl::StrAppendFormat(&table, "mean F1 over %d trait values, on %d tokens of %d test persons\n", first.matches.size(),
                        first.test_token_count, first.test_person_count);
  if (first.left_out_count > 0) {
    absl::StrAppendFormat(&table, "%d more hold of fewer than %g %% or more than %g %% of the tokens\n",
                          first.left_out_count, 100 * options.match.min_share, 100 * options.match.max_share);
  }
  for (const Measured& one : all) {
    const auto unmatched = std::count_if(one.coverage.matches.begin(), one.coverage.matches.end(),
                                         [](const TraitMatch& match) { return match.feature == kNoFeature; });
    if (unmatched > 0) {
      absl::StrAppendFormat(&table, "%s: no feature is ever on with %d of them, which count as 0\n", one.name,
                            unmatched);
    }
  }
  if (const std::string& note = first.figures.front().note; !note.empty()) absl::StrAppend(&table, note, "\n");
  return table;
}

nlohmann::json ToJson(const TraitMatch& match) {
  nlohmann::json json = {{"trait", match.trait},         {"value", match.value}, {"feature", nullptr},
                         {"threshold", match.threshold}, {"f1", match.f1},       {"precision", match.precision},
                         {"recall", match.recall},       {"share", match.share}};
  if (match.feature != kNoFeature) json["feature"] = match.feature;
  return json;
}

nlohmann::json ToJson(const Measured& one, const TraitCoverage& first) {
  const Measurement difference = Difference(one.coverage, first);
  nlohmann::json difference_json = {{"name", difference.metric}, {"value", difference.value}};
  if (!std::isnan(difference.low)) difference_json["interval_95"] = {difference.low, difference.high};
  nlohmann::json json = {{"name", one.name},
                         {"digest", one.digest},
                         {"model", {{"name", one.model}, {"digest", one.model_digest}}},
                         {"hook_point", one.hook_point},
                         {"feature_count", one.feature_count},
                         {"l0", one.coverage.l0},
                         {"shared_fraction", one.coverage.shared_fraction},
                         {"difference_to_first", difference_json},
                         {"left_out_count", one.coverage.left_out_count}};
  for (const Measurement& figure : one.coverage.figures) json["figures"].push_back(ToJson(figure));
  for (const TraitMatch& match : one.coverage.matches) json["concepts"].push_back(ToJson(match));
  return json;
}

nlohmann::json ToJson(const CoverageFlags& flags, const std::vector<Measured>& all) {
  const OpenedCorpus corpus = OpenCorpus(flags.home, flags.corpus);
  const TraitCoverageOptions& options = flags.options;
  nlohmann::json json = {{"software", SoftwareVersion()},
                         {"corpus", {{"name", flags.corpus}, {"digest", corpus.corpus->digest()}}},
                         {"options",
                          {{"traits", options.match.traits},
                           {"min_share", options.match.min_share},
                           {"max_share", options.match.max_share},
                           {"precision", options.detectors.precision},
                           {"min_hits", options.detectors.min_hits},
                           {"resamples", options.bootstrap.resamples},
                           {"seed", options.bootstrap.seed}}},
                         {"test_token_count", all.front().coverage.test_token_count},
                         {"test_person_count", all.front().coverage.test_person_count}};
  if (!flags.labels.empty()) {
    json["labels"] = {{"name", flags.labels}, {"digest", OpenLabels(flags.home, flags.labels, corpus)->digest()}};
  }
  for (const Measured& one : all) json["dictionaries"].push_back(ToJson(one, all.front().coverage));
  return json;
}

void Cover(const CoverageFlags& flags) {
  const Stopwatch stopwatch;
  PrepareCompute(flags.threads);
  std::vector<Measured> all;
  for (const std::string& name : flags.dictionaries) all.push_back(MeasureOne(flags, name));
  if (!flags.json.empty()) WriteFileAtomically(flags.json, ToJson(flags, all).dump(2) + "\n");
  std::fputs(absl::StrCat(TableText(all, flags.options), "(", DurationText(stopwatch.Seconds()), ")\n").c_str(),
             stdout);
}

}  // namespace

void AddCoverageCommand(CLI::App& app) {
  auto flags = std::make_shared<CoverageFlags>();
  CLI::App* verb = app.add_subcommand("coverage", "How much of a world's traits, or of labels, dictionaries cover");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--dictionaries", flags->dictionaries, "Dictionaries to compare, separated by commas")
      ->required()
      ->delimiter(',');
  verb->add_option("--corpus", flags->corpus, "Corpus whose traits are known, or that the labels are of")->required();
  verb->add_option("--labels", flags->labels, "Label table to cover instead of the traits (see lifescoped label)");
  verb->add_option("--traits", flags->options.match.traits, "Only these traits or labels, separated by commas")
      ->delimiter(',');
  verb->add_option("--precision", flags->options.detectors.precision, "Precision of a detector, for the reconstruction")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb->add_option("--min-hits", flags->options.detectors.min_hits, "Tokens that a detector must be right about")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--resamples", flags->options.bootstrap.resamples, "Draws of persons behind the intervals")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--seed", flags->options.bootstrap.seed, "Seed of these draws")->capture_default_str();
  verb->add_option("--json", flags->json, "File for everything that was measured");
  AddThreadsOption(*verb, flags->threads);
  verb->footer(
      "Features and thresholds are chosen on validation persons and measured on test persons, with 95 % intervals\n"
      "over these. coverage: mean over trait values of the best feature's F1; shared threshold: at one fraction of\n"
      "every feature's maximum; reconstruction: F1 of all trait values predicted by features of high precision.\n"
      "Compare dictionaries of equal L0 (active features per token). docs/concepts.md has the formulas.\n"
      "Example:\n  lifescoped coverage --home my-home --dictionaries small-resid1,neurons --corpus world");
  verb->callback([flags] { Cover(*flags); });
}

}  // namespace lifescope
