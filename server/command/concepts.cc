#include <c10/util/Exception.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/artifact/artifact.h"
#include "server/command/command.h"
#include "server/command/home.h"
#include "server/command/measurement.h"
#include "server/command/progress_bar.h"
#include "server/evaluation/hierarchy_absorption.h"
#include "server/evaluation/trait_probes.h"
#include "server/runtime/device.h"

namespace lifescope {
namespace {

struct ConceptsFlags {
  std::string home, dictionary, corpus, labels, field, json;
  TraitProbeOptions probes;
  int64_t characters = 1;
  int32_t threads = 0;
};

// Figures beside the 1-D loss of the validation rows, in the order of TraitProbe::figures.
std::string ProbeRow(const std::string& name, const std::string& share, const std::string& entropy, double loss,
                     const Measurement* figures, size_t count) {
  std::string row = absl::StrFormat("%-36s %6s %8s %8s", name, share, entropy, NumberText(loss, 4));
  for (size_t i = 0; i < count; ++i) absl::StrAppendFormat(&row, " %22s", IntervalText(figures[i]));
  return row + "\n";
}

std::string ProbeTable(const TraitProbes& found, const std::vector<int64_t>& k) {
  std::string table =
      absl::StrFormat("%-36s %6s %8s %8s %22s", "trait", "share", "entropy", "1-D loss", "on test persons");
  for (const int64_t features : k) absl::StrAppendFormat(&table, " %22s", absl::StrCat("k=", features));
  absl::StrAppendFormat(&table, " %22s\n", "dense");
  for (const TraitProbe& probe : found.probes) {
    absl::StrAppend(&table,
                    ProbeRow(absl::StrCat(probe.trait, " = ", probe.value), absl::StrFormat("%.3f", probe.share),
                             absl::StrFormat("%.4f", probe.loss.constant_loss), probe.loss.loss, probe.figures.data(),
                             probe.figures.size()));
  }
  const Measurement& fitted = found.means.front();
  absl::StrAppend(&table, ProbeRow("mean", "", "", fitted.value, &found.means[1], found.means.size() - 1));
  return absl::StrCat(table, fitted.note, fitted.note.empty() ? "" : "\n");
}

std::string RuleText(const RuleScores& scores) {
  if (scores.rules.empty()) return "no feature fires often enough to score its best rule\n";
  std::string text = absl::StrFormat("best rule of each of %d features, means:", scores.rules.size());
  for (const Measurement& mean : scores.means) {
    absl::StrAppend(&text, " ", mean.metric, " ", IntervalText(mean), mean.note.empty() ? "" : " ", mean.note, ";");
  }
  text.back() = '\n';
  return text;
}

std::string LobeText(const FeatureLobes& lobes) {
  return absl::StrFormat("lobes of %d features: adjusted mutual information of co-occurrence and direction %s\n",
                         lobes.features.size(),
                         std::isnan(lobes.mutual_information) ? "-: too few features occur often enough to be clustered"
                                                              : NumberText(lobes.mutual_information));
}

std::string AbsorptionTable(const HierarchyAbsorption& found) {
  std::string table = absl::StrFormat("%-16s %6s %8s %9s %8s %9s %6s  %s\n", "codes", "count", "tokens", "probe F1",
                                      "main F1", "absorbed", "full", "main features");
  for (const GroupAbsorption& group : found.groups) {
    absl::StrAppendFormat(&table, "%-16s %6d %8d %9.3f %8.3f %9s %6s  %s\n", group.group, group.code_count,
                          group.row_count, group.probe_f1, group.main_f1, NumberText(group.mean_fraction),
                          NumberText(group.full_rate), absl::StrJoin(group.main_features, " "));
  }
  absl::StrAppend(&table, "tokens: those that the probe gets right; -: there are none\n");
  for (const Measurement& figure : {found.mean_fraction, found.full_rate}) {
    absl::StrAppend(&table, figure.metric, ": ", IntervalText(figure), "\n");
  }
  return table;
}

nlohmann::json ToJson(const TraitProbe& probe) {
  nlohmann::json json = {
      {"trait", probe.trait},
      {"value", probe.value},
      {"share", probe.share},
      {"probe_loss",
       {{"feature", probe.loss.feature}, {"loss", probe.loss.loss}, {"constant_loss", probe.loss.constant_loss}}},
      {"activations", {{"f1", probe.activation_f1}}}};
  for (const Measurement& figure : probe.figures) json["figures"].push_back(ToJson(figure));
  for (const SparseProbe& sparse : probe.sparse) {
    json["sparse_probes"].push_back({{"features", sparse.features},
                                     {"train_accuracy", sparse.train_accuracy},
                                     {"test_accuracy", sparse.test_accuracy},
                                     {"test_f1", sparse.test_f1}});
  }
  return json;
}

nlohmann::json ToJson(const HierarchyAbsorption& found) {
  nlohmann::json json = {{"figures", {ToJson(found.mean_fraction), ToJson(found.full_rate)}}};
  for (const GroupAbsorption& group : found.groups) {
    json["groups"].push_back({{"group", group.group},
                              {"code_count", group.code_count},
                              {"row_count", group.row_count},
                              {"probe_f1", group.probe_f1},
                              {"main_features", group.main_features},
                              {"main_f1", group.main_f1},
                              {"mean_fraction", group.mean_fraction},
                              {"full_rate", group.full_rate}});
  }
  return json;
}

nlohmann::json ToJson(const ConceptsFlags& flags, const OpenedScan& scan, const TraitProbes& found,
                      const std::optional<HierarchyAbsorption>& absorption) {
  nlohmann::json json = {{"software", SoftwareVersion()},
                         {"corpus", {{"name", flags.corpus}, {"digest", scan.corpus.corpus->digest()}}},
                         {"dictionary", {{"name", flags.dictionary}, {"digest", scan.dictionary.digest}}},
                         {"model", {{"name", scan.model.name}, {"digest", scan.model.digest}}},
                         {"hook_point", scan.hook_point.ToString()},
                         {"options",
                          {{"labels", flags.labels},
                           {"traits", flags.probes.match.traits},
                           {"max_rows", flags.probes.rows.max_rows},
                           {"max_documents", flags.probes.rows.max_documents},
                           {"seed", flags.probes.rows.seed},
                           {"resamples", flags.probes.bootstrap.resamples},
                           {"clusters", flags.probes.lobes.clusters},
                           {"field", flags.field},
                           {"characters", flags.characters}}}};
  for (const TraitProbe& probe : found.probes) json["probes"].push_back(ToJson(probe));
  for (const Measurement& mean : found.means) json["probe_means"].push_back(ToJson(mean));
  for (const RuleScore& rule : found.rules.rules) {
    const TraitProbe& trait = found.probes[rule.concept_index];
    nlohmann::json entry = {{"feature", rule.feature}, {"trait", trait.trait}, {"value", trait.value}};
    for (const Measurement* score : {&rule.correlation, &rule.fuzzing, &rule.detection}) {
      entry[score->metric] = {{"value", score->value}};
      if (!std::isnan(score->low)) entry[score->metric]["interval_95"] = {score->low, score->high};
      if (!score->note.empty()) entry[score->metric]["note"] = score->note;
    }
    json["rules"].push_back(std::move(entry));
  }
  for (const Measurement& mean : found.rules.means) json["rule_means"].push_back(ToJson(mean));
  json["lobes"] = {{"features", found.lobes.features},
                   {"by_cooccurrence", found.lobes.by_cooccurrence},
                   {"by_direction", found.lobes.by_direction},
                   {"mutual_information", found.lobes.mutual_information}};
  if (absorption) json["absorption"] = ToJson(*absorption);
  return json;
}

void Probe(const ConceptsFlags& flags) {
  const Stopwatch stopwatch;
  const OpenedScan scan = OpenScan(flags.home, flags.dictionary, flags.corpus);
  TORCH_CHECK_VALUE(
      flags.field.empty() || !scan.dictionary.is_transcoder(), flags.dictionary,
      ": a transcoder, whose directions are not of what it reads; expected a dictionary that reconstructs, "
      "or no --field");
  PrepareCompute(flags.threads);
  TraitProbeOptions options = flags.probes;
  options.match.hook_point = scan.hook_point;
  if (!flags.labels.empty()) options.match.labels = OpenLabels(flags.home, flags.labels, scan.corpus);
  const TraitProbes found =
      ProbeTraits(*scan.model.transformer, *scan.dictionary.dictionary, *scan.corpus.corpus, options);
  std::optional<HierarchyAbsorption> absorption;
  if (!flags.field.empty()) {
    HierarchyAbsorptionOptions hierarchy;
    hierarchy.scan.hook_point = scan.hook_point;
    hierarchy.field = flags.field;
    hierarchy.characters = flags.characters;
    hierarchy.rows = flags.probes.rows;
    hierarchy.bootstrap = flags.probes.bootstrap;
    absorption = MeasureHierarchyAbsorption(*scan.model.transformer, *scan.dictionary.dictionary, *scan.corpus.corpus,
                                            hierarchy);
  }
  if (!flags.json.empty()) WriteFileAtomically(flags.json, ToJson(flags, scan, found, absorption).dump(2) + "\n");
  std::string text = absl::StrCat(ProbeTable(found, options.k), RuleText(found.rules), LobeText(found.lobes));
  if (absorption) absl::StrAppend(&text, "\n", AbsorptionTable(*absorption));
  std::fputs(absl::StrCat(text, "(", DurationText(stopwatch.Seconds()), ")\n").c_str(), stdout);
}

}  // namespace

void AddConceptsCommand(CLI::App& app) {
  auto flags = std::make_shared<ConceptsFlags>();
  CLI::App* verb = app.add_subcommand("concepts", "What a dictionary knows of traits or labels: probes and absorption");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--dictionary", flags->dictionary, "Dictionary to look into")->required();
  verb->add_option("--corpus", flags->corpus, "Corpus whose traits are known, or that the labels are of")->required();
  verb->add_option("--labels", flags->labels, "Label table to probe for instead of the traits (see lifescoped label)");
  verb->add_option("--traits", flags->probes.match.traits, "Only these traits or labels, separated by commas")
      ->delimiter(',');
  verb->add_option("--k", flags->probes.k, "Features of the sparse probes, separated by commas")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--field", flags->field, "Also absorption over the codes of a field, \"DIAG_\"");
  verb->add_option("--characters", flags->characters, "Characters of a code that name its group")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--clusters", flags->probes.lobes.clusters, "Lobes that features are clustered into")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--max-rows", flags->probes.rows.max_rows, "Tokens that are drawn of each split")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--max-persons", flags->probes.rows.max_documents, "Persons that they are drawn from")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--seed", flags->probes.rows.seed, "Seed of these draws")->capture_default_str();
  verb->add_option("--resamples", flags->probes.bootstrap.resamples, "Draws of test persons behind the intervals")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--json", flags->json, "File for everything that was measured");
  AddThreadsOption(*verb, flags->threads);
  verb->footer(
      "Probes are fitted on tokens of validation persons. 1-D loss: of the best single feature, on the same tokens, "
      "to\n"
      "compare with the entropy. On tokens of test persons, with 95 % intervals over these: the loss of that probe;\n"
      "k=...: accuracy of a probe on k features, dense: of one on the activations. docs/concepts.md has the formulas.\n"
      "Example:\n  lifescoped concepts --home my-home --dictionary small-resid1 --corpus world --field DIAG_");
  verb->callback([flags] { Probe(*flags); });
}

}  // namespace lifescope
