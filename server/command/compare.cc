#include <ATen/ATen.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/artifact/artifact.h"
#include "server/command/command.h"
#include "server/command/evaluation_flags.h"
#include "server/command/home.h"
#include "server/command/measurement.h"
#include "server/command/progress_bar.h"
#include "server/evaluation/dictionary_similarity.h"

namespace lifescope {
namespace {

struct CompareFlags {
  EvaluationFlags evaluation;
  std::vector<std::string> dictionaries;
  std::string name;
};

// How alike the living directions of a dictionary and of the first are.
struct Similarity {
  std::string name;
  std::vector<Measurement> metrics;
};

at::Tensor LivingDirections(const CompareFlags& flags, const DictionaryCard& card) {
  const at::Tensor directions =
      OpenDictionary(flags.evaluation.home, card.dictionary.name).dictionary->DecoderDirections();
  return directions.index_select(0, card.evaluation.densities.gt(0).nonzero().squeeze(1));
}

// Of the dictionaries whose directions are those of the first one's hook points; both must have features that fire.
std::vector<Similarity> SimilaritiesToFirst(const CompareFlags& flags, const std::vector<DictionaryCard>& cards) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  std::vector<Similarity> similarities;
  const DictionaryCard& first = cards.front();
  const auto written = [](const DictionaryCard& card) {
    return card.output_hook_point.empty() ? card.hook_point : card.output_hook_point;
  };
  const at::Tensor own = LivingDirections(flags, first);
  for (size_t i = 1; i < cards.size(); ++i) {
    if (written(cards[i]) != written(first) || cards[i].model.digest != first.model.digest) continue;
    const at::Tensor other = LivingDirections(flags, cards[i]);
    if (own.size(0) == 0 || other.size(0) == 0) continue;
    const at::Tensor matched = GreedyMatchedCosines(own, other);
    similarities.push_back({cards[i].dictionary.name,
                            {{"mmcs", Mmcs(other, own), kNan, kNan, absl::StrCat("to ", first.dictionary.name)},
                             {"mmcs", Mmcs(own, other), kNan, kNan, absl::StrCat("from ", first.dictionary.name)},
                             {"matched_cosine_greedy", matched.mean().item<double>(), kNan, kNan},
                             {"matched_over_0.9", matched.gt(0.9).to(at::kDouble).mean().item<double>(), kNan, kNan}}});
  }
  return similarities;
}

std::string Table(const std::vector<DictionaryCard>& cards) {
  const auto place = [](const DictionaryCard& card) {
    return card.output_hook_point.empty() ? card.hook_point
                                          : absl::StrCat(card.hook_point, " > ", card.output_hook_point);
  };
  int kind_width = 20, place_width = 28;
  for (const DictionaryCard& card : cards) {
    kind_width = std::max(kind_width, static_cast<int>(card.kind.size()));
    place_width = std::max(place_width, static_cast<int>(place(card).size()));
  }
  constexpr char kRow[] = "%-22s %-*s %-*s %8s %8s %24s %24s %24s %6s\n";
  std::string table = absl::StrFormat(kRow, "dictionary", kind_width, "kind", place_width, "hook point", "features",
                                      "L0", "FVU", "loss recovered, zero", "loss recovered, mean", "alive");
  for (const DictionaryCard& card : cards) {
    absl::StrAppendFormat(&table, kRow, card.dictionary.name, kind_width, card.kind, place_width, place(card),
                          absl::StrCat(card.feature_count), NumberText(MetricOf(card, "l0").value, 2),
                          IntervalText(MetricOf(card, "fvu")), IntervalText(MetricOf(card, "loss_recovered_zero")),
                          IntervalText(MetricOf(card, "loss_recovered_mean")),
                          NumberText(MetricOf(card, "alive_fraction").value));
  }
  return table;
}

// What the cells of the table leave unsaid: why one is "-", has no interval or needs care. One card for each row.
std::string CellNotes(const std::vector<DictionaryCard>& cards) {
  std::string notes;
  for (const DictionaryCard& card : cards) {
    const bool is_crosscoder = !card.evaluation.sites.empty();
    const std::string row =
        absl::StrCat(card.dictionary.name, is_crosscoder ? ", " : "", is_crosscoder ? card.hook_point : "");
    for (const char* metric : {"fvu", "loss_recovered_zero", "loss_recovered_mean"}) {
      const Measurement m = MetricOf(card, metric);
      if (!m.note.empty()) absl::StrAppend(&notes, row, ", ", metric, ": ", m.note, "\n");
    }
  }
  return notes;
}

// What --match-l0 did.
std::string ThresholdNote(const std::vector<DictionaryCard>& cards) {
  std::string names;
  for (const DictionaryCard& card : cards) {
    if (card.threshold > 0) absl::StrAppend(&names, names.empty() ? "" : ", ", card.dictionary.name);
  }
  return names.empty() ? ""
                       : absl::StrCat("cut down to that L0 by a threshold they were not trained with: ", names, "\n");
}

std::string Table(const std::vector<Similarity>& similarities, const std::string& first) {
  if (similarities.empty()) return "";
  constexpr char kRow[] = "%-22s %12s %12s %16s %12s\n";
  std::string table = absl::StrFormat(kRow, absl::StrCat("likeness to ", first), "MMCS to it", "MMCS from it",
                                      "matched cosine", "over 0.9");
  for (const Similarity& similarity : similarities) {
    const auto number = [&](size_t i) { return NumberText(similarity.metrics[i].value); };
    absl::StrAppendFormat(&table, kRow, similarity.name, number(0), number(1), number(2), number(3));
  }
  return absl::StrCat("\n", table, "decoder directions of features that fire; pairs matched greedily\n");
}

nlohmann::json ToJson(const std::vector<DictionaryCard>& cards, const std::vector<Similarity>& similarities,
                      const std::string& first) {
  nlohmann::json json = {{"cards", nlohmann::json::array()}, {"likeness_to", first}};
  for (const DictionaryCard& card : cards) json["cards"].push_back(ToJson(card));
  for (const Similarity& similarity : similarities) {
    nlohmann::json entry = {{"dictionary", similarity.name}};
    for (const Measurement& m : similarity.metrics) {
      entry["metrics"].push_back({{"name", m.metric}, {"value", m.value}, {"note", m.note}});
    }
    json["likeness"].push_back(std::move(entry));
  }
  return json;
}

void Compare(const CompareFlags& flags) {
  const Stopwatch stopwatch;
  const std::string folder = ComparisonFolder(flags.evaluation.home, flags.name);
  PrepareNewArtifact(folder);
  PrepareCompute(flags.evaluation.threads);
  std::vector<DictionaryCard> cards;
  for (const std::string& name : flags.dictionaries) cards.push_back(EvaluateByName(flags.evaluation, name));
  const std::vector<Similarity> similarities = SimilaritiesToFirst(flags, cards);
  const std::string first = flags.dictionaries.front();
  std::stable_sort(cards.begin(), cards.end(), [](const DictionaryCard& a, const DictionaryCard& b) {
    return MetricOf(a, "l0").value < MetricOf(b, "l0").value;
  });
  const std::vector<DictionaryCard> by_hook_point = ByHookPoint(cards);
  WriteFolderAtomically(folder, [&](const std::string& partial) {
    const auto write = [&](const char* file, const std::string& text) { WriteFileAtomically(partial + file, text); };
    write("/comparison.json", ToJson(cards, similarities, first).dump(2) + "\n");
    write("/fvu.svg", ToSvg(ParetoPlot(by_hook_point, "fvu", "Fraction of variance unexplained")));
    write("/loss_recovered.svg",
          ToSvg(ParetoPlot(by_hook_point, "loss_recovered_zero", "Loss recovered against zero ablation")));
    write("/densities.svg", ToSvg(DensityPlot(cards)));
  });
  const DictionaryEvaluation& evaluation = cards.front().evaluation;
  const std::string text =
      absl::StrCat(Table(by_hook_point),
                   absl::StrFormat("%d rows of %d persons, 95 %% intervals over persons; compare at like L0\n",
                                   evaluation.row_count, evaluation.person_count),
                   CellNotes(by_hook_point), ThresholdNote(cards), Table(similarities, first), "\nwrote ", folder, " (",
                   DurationText(stopwatch.Seconds()), ")\n");
  std::fputs(text.c_str(), stdout);
}

}  // namespace

void AddCompareCommand(CLI::App& app) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* verb = app.add_subcommand("compare", "Judge several dictionaries side by side, by L0, with plots");
  verb->add_option("--dictionaries", flags->dictionaries,
                   "Dictionaries and baselines, separated by commas; likeness is to the first")
      ->required()
      ->delimiter(',');
  verb->add_option("--name", flags->name, "Name of the comparison")->required();
  verb->add_option("--match-l0", flags->evaluation.match_l0,
                   "Drop the weakest activations of dictionaries with a larger L0 until they have this one")
      ->check(CLI::PositiveNumber);
  AddEvaluationOptions(*verb, flags->evaluation);
  verb->footer(
      "All are judged on the same rows, masks and draws of persons. Writes <home>/comparisons/<name>: "
      "comparison.json,\n"
      "fvu.svg and loss_recovered.svg (against L0), densities.svg. kind: the recipe, the baseline's method or the "
      "format of\n"
      "an import; points of one kind, place and width are joined. Dictionaries of two seeds: their likeness is the\n"
      "stability of the training.\n"
      "Example:\n  lifescoped compare --home my-home --dictionaries k16,k32,neurons --corpus world --name by-k");
  verb->callback([flags] { Compare(*flags); });
}

}  // namespace lifescope
