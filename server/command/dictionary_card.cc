#include "server/command/dictionary_card.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
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

}  // namespace

std::vector<CardSection> SectionsOf(const DictionaryEvaluation& evaluation) {
  std::vector<CardSection> sections{{"sparsity and reconstruction", evaluation.reconstruction}};
  if (!evaluation.downstream.empty()) sections.push_back({"masked-token prediction, in nats", evaluation.downstream});
  sections.push_back({"features", evaluation.features});
  sections.push_back({"as other libraries have it", evaluation.peers});
  return sections;
}

Measurement MetricOf(const DictionaryCard& card, const std::string& name) {
  for (const CardSection& section : card.sections) {
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
    json["sections"].push_back(std::move(entry));
  }
  if (!card.spectrum.empty()) json["decoder_spectrum"] = card.spectrum;
  for (const SubgroupEvaluation& group : evaluation.groups) json["subgroups"].push_back(ToJson(group));
  return json;
}

std::string ToText(const DictionaryCard& card) {
  const DictionaryEvaluation& evaluation = card.evaluation;
  std::string text = absl::StrFormat(
      "%s: %s, %d features at %s of model %s\n%s split of corpus %s: %d persons, %d rows (%s), %d masked tokens "
      "predicted\n",
      card.dictionary.name, card.architecture, card.feature_count, card.hook_point, card.model.name,
      NameOf(card.options.split), card.corpus.name, evaluation.person_count, evaluation.row_count,
      PositionsText(card.options.positions), evaluation.prediction_count);
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
    std::string like = absl::StrJoin({card->kind, card->model.digest, card->hook_point}, "\n");
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
    line.labels.push_back(card->dictionary.name);
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
