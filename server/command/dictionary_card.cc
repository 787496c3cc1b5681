#include "server/command/dictionary_card.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "server/command/measurement.h"
#include "server/evaluation/feature_density.h"
#include "server/runtime/device.h"

namespace lifescope {
namespace {

constexpr int kCardVersion = 1;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
// Bins over log10 densities of -10 to 0.
constexpr int64_t kDensityBins = 40;
constexpr double kLowestLogDensity = -10;
// Bins over relative decoder norms of 0 to 1.
constexpr int64_t kNormBins = 20;
// Subgroups on a terminal.
constexpr size_t kShownGroups = 12;

nlohmann::json ToJson(const DictionaryCard::Artifact& artifact) {
  return {{"name", artifact.name}, {"digest", artifact.digest}};
}

nlohmann::json ToJson(const SubgroupEvaluation& group) {
  nlohmann::json json = {
      {"name", group.name}, {"row_count", group.row_count}, {"prediction_count", group.prediction_count}};
  for (const auto* metrics : {&group.reconstruction, &group.downstream}) {
    for (const Measurement& m : *metrics) json["values"][m.metric] = m.value;
  }
  return json;
}

const char* NameOf(Split split) {
  return split == Split::kTrain ? "training" : split == Split::kValidation ? "validation" : "test";
}

std::string PositionsText(const PositionChoice& positions) {
  return absl::StrCat(positions.prefix ? "prefix and " : "", "events ", positions.separators ? "with" : "without",
                      " [SEP]");
}

double ValueIn(const std::vector<Measurement>& metrics, const std::string& name) {
  const auto found = std::find_if(metrics.begin(), metrics.end(), [&](const auto& m) { return m.metric == name; });
  return found == metrics.end() ? kNan : found->value;
}

std::string GroupTable(const std::vector<SubgroupEvaluation>& groups) {
  constexpr char kRow[] = "  %-34s %8s %7s %7s %11s %9s %9s\n";
  std::string table = absl::StrFormat(kRow, "subgroup", "rows", "L0", "FVU", "predictions", "CE clean", "delta CE");
  for (size_t i = 0; i < std::min(groups.size(), kShownGroups); ++i) {
    const SubgroupEvaluation& group = groups[i];
    absl::StrAppendFormat(&table, kRow, group.name, absl::StrCat(group.row_count),
                          NumberText(ValueIn(group.reconstruction, "l0"), 2),
                          NumberText(ValueIn(group.reconstruction, "fvu")), absl::StrCat(group.prediction_count),
                          NumberText(ValueIn(group.downstream, "cross_entropy_clean")),
                          NumberText(ValueIn(group.downstream, "delta_cross_entropy")));
  }
  if (groups.size() > kShownGroups) {
    absl::StrAppendFormat(&table, "  and %d smaller ones in the card's JSON\n", groups.size() - kShownGroups);
  }
  return table;
}

// What the dictionary reads and predicts.
std::string PlaceText(const DictionaryCard& card) {
  std::string models = card.model.name;
  for (const DictionaryCard::Artifact& other : card.other_models) absl::StrAppend(&models, ", ", other.name);
  const std::string of = absl::StrCat(card.other_models.empty() ? " of model " : " of models ", models);
  if (!card.output_hook_point.empty()) {
    return absl::StrCat("transcoder: reads ", card.hook_point, ", predicts ", card.output_hook_point, of);
  }
  if (!card.evaluation.sites.empty()) {
    return absl::StrCat("crosscoder: over ", absl::StrReplaceAll(card.hook_point, {{"+", ", "}}), of);
  }
  return absl::StrCat("at ", card.hook_point, of);
}

std::vector<int64_t> NormHistogram(const SiteEvaluation& site) {
  const at::Tensor counts = at::histc(site.relative_norms, kNormBins, 0, 1);
  return {counts.data_ptr<double>(), counts.data_ptr<double>() + kNormBins};
}

std::string NormText(const std::vector<SiteEvaluation>& sites) {
  std::string text = "\nalive features by relative decoder norm\n";
  for (const SiteEvaluation& site : sites) {
    absl::StrAppendFormat(&text, "  %-34s 0 |%s| 1\n", site.name, Sparkline(NormHistogram(site)));
  }
  return text;
}

}  // namespace

std::vector<CardSection> SectionsOf(const DictionaryEvaluation& evaluation) {
  std::vector<CardSection> sections;
  const auto add_site = [&](const auto& figures, const std::string& hook_point) {
    const std::string at = hook_point.empty() ? "" : absl::StrCat(hook_point, ": ");
    sections.push_back({absl::StrCat(at, "sparsity and reconstruction"), figures.reconstruction, "", hook_point});
    if (!figures.downstream.empty()) {
      sections.push_back({absl::StrCat(at, "masked-token prediction, in nats"), figures.downstream, "", hook_point});
    }
  };
  if (evaluation.sites.empty()) {
    add_site(evaluation, "");
  } else {
    sections.push_back({"sparsity", evaluation.reconstruction});
  }
  sections.push_back({"features", evaluation.features});
  if (evaluation.sites.empty()) {
    sections.push_back({"as other libraries have it", evaluation.peers});
  } else {
    sections.push_back({"across hook points", evaluation.across_sites});
  }
  for (const SiteEvaluation& site : evaluation.sites) {
    add_site(site, site.name);
    sections.push_back({absl::StrCat(site.name, ": as other libraries have it"), site.peers, "", site.name});
  }
  return sections;
}

std::vector<DictionaryCard> ByHookPoint(const std::vector<DictionaryCard>& cards) {
  std::vector<DictionaryCard> all;
  for (const DictionaryCard& card : cards) {
    if (card.evaluation.sites.empty()) all.push_back(card);
    for (const SiteEvaluation& site : card.evaluation.sites) {
      all.push_back(card);
      all.back().hook_point = site.name;
      for (CardSection& section : all.back().sections) {
        if (section.hook_point == site.name) section.hook_point.clear();
      }
    }
  }
  return all;
}

Measurement MetricOf(const DictionaryCard& card, const std::string& name) {
  for (const CardSection& section : card.sections) {
    if (!section.hook_point.empty()) continue;
    for (const Measurement& m : section.metrics) {
      if (m.metric == name) return m;
    }
  }
  return {name, kNan, kNan, kNan, "not measured"};
}

nlohmann::json ToJson(const DictionaryCard& card) {
  const DictionaryEvaluation& evaluation = card.evaluation;
  const DictionaryEvaluationOptions& options = card.options;
  nlohmann::json json = {{"card_version", kCardVersion},
                         {"software", SoftwareVersion()},
                         {"dictionary", ToJson(card.dictionary)},
                         {"kind", card.kind},
                         {"architecture", card.architecture},
                         {"feature_count", card.feature_count},
                         {"hook_point", card.hook_point},
                         {"threshold", card.threshold},
                         {"model", ToJson(card.model)},
                         {"corpus", ToJson(card.corpus)},
                         {"options",
                          {{"split", NameOf(options.split)},
                           {"max_persons", options.max_persons},
                           {"prefix", options.positions.prefix},
                           {"separators", options.positions.separators},
                           {"mask_ratio", options.mask_ratio},
                           {"mask_seed", options.mask_seed},
                           {"n_slots", evaluation.n_slots},
                           {"batch_tokens", options.scan.batch_tokens},
                           {"resamples", options.bootstrap.resamples},
                           {"resample_seed", options.bootstrap.seed}}},
                         {"person_count", evaluation.person_count},
                         {"row_count", evaluation.row_count},
                         {"prediction_count", evaluation.prediction_count},
                         {"log10_densities",
                          {{"low", kLowestLogDensity},
                           {"high", 0},
                           {"feature_counts", LogDensityHistogram(evaluation.densities, kDensityBins)}}}};
  for (const CardSection& section : card.sections) {
    nlohmann::json metrics = nlohmann::json::array();
    for (const Measurement& m : section.metrics) metrics.push_back(ToJson(m));
    nlohmann::json entry = {{"title", section.title}, {"metrics", metrics}};
    if (!section.note.empty()) entry["note"] = section.note;
    if (!section.hook_point.empty()) entry["hook_point"] = section.hook_point;
    json["sections"].push_back(std::move(entry));
  }
  if (!card.output_hook_point.empty()) json["output_hook_point"] = card.output_hook_point;
  for (const DictionaryCard::Artifact& other : card.other_models) json["other_models"].push_back(ToJson(other));
  for (const SiteEvaluation& site : evaluation.sites) {
    json["relative_decoder_norms"].push_back(
        {{"hook_point", site.name}, {"low", 0}, {"high", 1}, {"feature_counts", NormHistogram(site)}});
  }
  if (!card.spectrum.empty()) json["decoder_spectrum"] = card.spectrum;
  for (const SubgroupEvaluation& group : evaluation.groups) json["subgroups"].push_back(ToJson(group));
  return json;
}

std::string ToText(const DictionaryCard& card) {
  const DictionaryEvaluation& evaluation = card.evaluation;
  std::string text = absl::StrFormat(
      "%s: %s, %d features, %s\n%s split of corpus %s: %d persons, %d rows (%s), %d masked tokens predicted\n",
      card.dictionary.name, card.architecture, card.feature_count, PlaceText(card), NameOf(card.options.split),
      card.corpus.name, evaluation.person_count, evaluation.row_count, PositionsText(card.options.positions),
      evaluation.prediction_count);
  for (const CardSection& section : card.sections) {
    absl::StrAppend(&text, "\n", section.title, "\n");
    if (!section.note.empty()) absl::StrAppend(&text, "  ", section.note, "\n");
    for (const Measurement& m : section.metrics) {
      absl::StrAppendFormat(&text, "  %-44s %12s", m.metric,
                            std::isnan(m.value) ? "-" : absl::StrFormat("%.5g", m.value));
      if (!std::isnan(m.low)) absl::StrAppendFormat(&text, "  [%.5g, %.5g]", m.low, m.high);
      absl::StrAppend(&text, m.note.empty() ? "" : absl::StrCat("  ", m.note), "\n");
    }
  }
  absl::StrAppendFormat(&text, "\nfeatures by log10 density, dead ones at -10\n  -10 |%s| 0\n",
                        Sparkline(LogDensityHistogram(evaluation.densities, kDensityBins)));
  if (!evaluation.sites.empty()) absl::StrAppend(&text, NormText(evaluation.sites));
  if (!evaluation.groups.empty()) absl::StrAppend(&text, "\n", GroupTable(evaluation.groups));
  return text;
}

std::string Sparkline(const std::vector<int64_t>& counts) {
  static constexpr const char* kBars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  constexpr auto kHeights = static_cast<int64_t>(std::size(kBars));
  const int64_t largest = counts.empty() ? 0 : *std::max_element(counts.begin(), counts.end());
  std::string line;
  for (const int64_t count : counts) {
    line += count == 0 ? " " : kBars[(count * kHeights + largest - 1) / largest - 1];
  }
  return line;
}

LinePlot SpectrumPlot(const DictionaryCard& card) {
  LinePlot plot;
  plot.title = absl::StrCat("Spectrum of the directions of ", card.dictionary.name);
  plot.x_label = "log10 rank";
  plot.y_label = "log10 eigenvalue of their covariance";
  PlotLine line;
  for (size_t i = 0; i < card.spectrum.size(); ++i) {
    if (card.spectrum[i] <= 1e-12 * card.spectrum.front()) break;
    line.x.push_back(std::log10(static_cast<double>(i + 1)));
    line.y.push_back(std::log10(card.spectrum[i]));
  }
  plot.lines.push_back(std::move(line));
  return plot;
}

LinePlot ParetoPlot(const std::vector<DictionaryCard>& cards, const std::string& metric, const std::string& label) {
  LinePlot plot;
  plot.title = absl::StrCat(label, " by sparsity");
  plot.x_label = "L0, mean active features per row";
  plot.y_label = label;
  std::vector<const DictionaryCard*> by_l0;
  for (const DictionaryCard& card : cards) by_l0.push_back(&card);
  std::stable_sort(by_l0.begin(), by_l0.end(), [](const DictionaryCard* a, const DictionaryCard* b) {
    return MetricOf(*a, "l0").value < MetricOf(*b, "l0").value;
  });
  std::map<std::string, int> colours;
  std::map<std::string, size_t> lines;
  for (const DictionaryCard* card : by_l0) {
    const auto [colour, is_new_kind] = colours.emplace(card->kind, static_cast<int>(colours.size()));
    std::string like = absl::StrJoin({card->kind, card->model.digest, card->hook_point, card->output_hook_point}, "\n");
    absl::StrAppend(&like, "\n", card->feature_count, card->threshold > 0 ? "\ncut " : "",
                    card->threshold > 0 ? card->dictionary.name : "");
    const auto [place, is_new_line] = lines.emplace(like, plot.lines.size());
    if (is_new_line) {
      PlotLine line;
      if (is_new_kind) line.name = card->kind;
      line.style = PlotStyle::kMarked;
      line.colour = colour->second;
      plot.lines.push_back(std::move(line));
    }
    PlotLine& line = plot.lines[place->second];
    line.x.push_back(MetricOf(*card, "l0").value);
    line.y.push_back(MetricOf(*card, metric).value);
    line.labels.push_back(card->evaluation.sites.empty()
                              ? card->dictionary.name
                              : absl::StrCat(card->dictionary.name, " at ", card->hook_point));
  }
  return plot;
}

LinePlot DensityPlot(const std::vector<DictionaryCard>& cards) {
  LinePlot plot;
  plot.title = "Feature densities";
  plot.x_label = "log10 of the share of rows on which a feature fires; dead ones at -10";
  plot.y_label = "share of features";
  for (const DictionaryCard& card : cards) {
    PlotLine line;
    line.name = card.dictionary.name;
    line.colour = static_cast<int>(plot.lines.size());
    const std::vector<int64_t> counts = LogDensityHistogram(card.evaluation.densities, kDensityBins);
    const double width = -kLowestLogDensity / static_cast<double>(kDensityBins);
    for (size_t bin = 0; bin < counts.size(); ++bin) {
      const double left = kLowestLogDensity + width * static_cast<double>(bin);
      const double share = static_cast<double>(counts[bin]) / static_cast<double>(card.feature_count);
      line.x.insert(line.x.end(), {left, left + width});
      line.y.insert(line.y.end(), {share, share});
    }
    plot.lines.push_back(std::move(line));
  }
  return plot;
}

}  // namespace lifescope
