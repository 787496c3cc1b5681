#include "server/command/card_sections.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"
#include "server/corpus/csv.h"
#include "server/dictionary/files/saelens.h"
#include "server/evaluation/dictionary_geometry.h"
#include "server/evaluation/hierarchy_absorption.h"
#include "server/evaluation/trait_probes.h"

namespace lifescope {
namespace {

using Progress = std::function<bool(int64_t done)>;

// What `measure` gives; where the corpus lacks what it needs, why it gives nothing.
template <typename Measure>
void MeasureOrSayWhy(CardSection* section, const Measure& measure) {
  try {
    measure();
  } catch (const c10::ValueError& error) {
    absl::StrAppend(&section->note, section->note.empty() ? "" : "; ", error.what_without_backtrace());
  }
}

CorpusRowOptions RowsOf(const CardSectionFlags& flags, const DictionaryCard& card) {
  CorpusRowOptions rows;
  rows.max_rows = flags.concept_rows;
  if (card.options.max_persons > 0) rows.max_documents = std::min(rows.max_documents, card.options.max_persons);
  return rows;
}

CardSection ProbeSection(const CardSectionFlags& flags, const EvaluationFlags& evaluation, const OpenedScan& scan,
                         const DictionaryCard& card, const Progress& on_progress) {
  CardSection section{"labels or traits: probes fitted on validation persons, measured on test persons", {}};
  TraitProbeOptions options;
  options.match.hook_point = scan.hook_point;
  options.rows = RowsOf(flags, card);
  options.bootstrap = card.options.bootstrap;
  options.probes_alone = true;
  if (!evaluation.labels.empty()) options.match.labels = OpenLabels(evaluation.home, evaluation.labels, scan.corpus);
  MeasureOrSayWhy(&section, [&] {
    TraitProbes found =
        ProbeTraits(*scan.model.transformer, *scan.dictionary.dictionary, *scan.corpus.corpus, options, on_progress);
    double entropy = 0;
    for (const TraitProbe& probe : found.probes) {
      entropy += probe.loss.constant_loss / static_cast<double>(found.probes.size());
    }
    section.metrics = std::move(found.means);
    if (found.probes.empty()) return;
    section.note =
        absl::StrFormat("means over %d values of %s; mean entropy %.4f", found.probes.size(),
                        evaluation.labels.empty() ? "traits" : absl::StrCat("labels ", evaluation.labels), entropy);
  });
  return section;
}

CardSection AbsorptionSection(const CardSectionFlags& flags, const OpenedScan& scan, const DictionaryCard& card,
                              const Progress& on_progress) {
  CardSection section{"code hierarchies: probes fitted on validation persons, absorption of test persons", {}};
  if (scan.dictionary.is_transcoder()) {
    section.note = "a transcoder, whose directions are not of what it reads";
    return section;
  }
  for (const std::string& field : flags.fields) {
    HierarchyAbsorptionOptions options;
    options.scan.hook_point = scan.hook_point;
    options.field = field;
    options.rows = RowsOf(flags, card);
    options.bootstrap = card.options.bootstrap;
    MeasureOrSayWhy(&section, [&] {
      const HierarchyAbsorption found = MeasureHierarchyAbsorption(*scan.model.transformer, *scan.dictionary.dictionary,
                                                                   *scan.corpus.corpus, options, on_progress);
      for (Measurement figure : {found.mean_fraction, found.full_rate}) {
        const std::string of = absl::StrCat(field, ", groups: ", found.groups.size());
        figure.note = figure.note.empty() ? of : absl::StrCat(of, "; ", figure.note);
        section.metrics.push_back(std::move(figure));
      }
    });
  }
  return section;
}

FeaturePairs ReadPairs(const std::string& path, int64_t feature_count) {
  CsvReader reader(path);
  const size_t relation = reader.Column("relation");
  const size_t sides[] = {reader.Column("first"), reader.Column("second")};
  std::map<std::string, int64_t> numbers;
  std::vector<int64_t> features;
  FeaturePairs pairs;
  for (CsvReader::Row row; reader.Next(&row);) {
    TORCH_CHECK_VALUE(row.fault.empty(), path, ", line ", row.line, ": ", row.fault);
    pairs.relations.push_back(numbers.emplace(row.cells[relation], static_cast<int64_t>(numbers.size())).first->second);
    for (const size_t side : sides) {
      int64_t feature = 0;
      TORCH_CHECK_VALUE(absl::SimpleAtoi(row.cells[side], &feature) && feature >= 0 && feature < feature_count, path,
                        ", line ", row.line, ": '", row.cells[side], "', expected the number of a feature, 0 to ",
                        feature_count - 1);
      features.push_back(feature);
    }
  }
  TORCH_CHECK_VALUE(numbers.size() >= 2 && numbers.size() < pairs.relations.size(), path, ": ", numbers.size(),
                    " relations of ", pairs.relations.size(), " pairs, expected at least 2 and fewer than pairs");
  pairs.pairs = at::tensor(features, at::kLong).view({-1, 2});
  return pairs;
}

CardSection GeometrySection(const FeaturePairs& pairs, const std::string& home, const OpenedScan& scan,
                            DictionaryCard* card) {
  const auto tensors = ReadSaeLens(DictionaryFolder(home, card->dictionary.name)).weights.tensors;
  const auto encoder = tensors.find("W_enc");
  const DictionaryGeometry geometry = MeasureGeometry(
      scan.dictionary.dictionary->DecoderDirections(), encoder == tensors.end() ? at::Tensor() : encoder->second.t(),
      card->evaluation.densities.gt(0), pairs, scan.dictionary.is_transcoder());
  const double* values = geometry.spectrum.data_ptr<double>();
  card->spectrum.assign(values, values + geometry.spectrum.numel());
  return {"geometry of the weights, of features that fire", geometry.figures};
}

}  // namespace

void AddCardSectionOptions(CLI::App& verb, CardSectionFlags& flags) {
  verb.add_option("--concept-rows", flags.concept_rows,
                  "Tokens of validation and of test persons for probes of labels or traits and for absorption; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb.add_option("--fields", flags.fields, "Fields of codes that absorption is measured on, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  verb.add_option("--pairs", flags.pairs,
                  "Pairs of features whose differences should agree by relation: CSV, relation,first,second")
      ->check(CLI::ExistingFile);
}

FeaturePairs PairsOf(const CardSectionFlags& flags, const std::string& home, const std::string& dictionary) {
  if (flags.pairs.empty()) return {};
  const LoadedDictionary opened = OpenDictionary(home, dictionary);
  TORCH_CHECK_VALUE(!opened.info.is_crosscoder(), "--pairs: ", dictionary, " is a crosscoder over ",
                    opened.info.hook_point, ", expected a dictionary that reads one hook point");
  return ReadPairs(flags.pairs, opened.dictionary->feature_count());
}

void AddCardSections(const CardSectionFlags& flags, const EvaluationFlags& evaluation, const FeaturePairs& pairs,
                     DictionaryCard* card) {
  if (!card->evaluation.sites.empty()) {
    card->sections.push_back({"probes, absorption and geometry", {}});
    card->sections.back().note = "not measured: they are of one hook point, and a crosscoder has several";
    return;
  }
  const OpenedScan scan = OpenScan(evaluation.home, card->dictionary.name, card->corpus.name);
  if (flags.concept_rows > 0) {
    const std::string stage = absl::StrCat("probe ", card->dictionary.name);
    ProgressBar bar(stage, 0);
    const Progress on_progress = [&](int64_t done) {
      bar.UpdateStage(stage, done, 0);
      return true;
    };
    card->sections.push_back(ProbeSection(flags, evaluation, scan, *card, on_progress));
    card->sections.push_back(AbsorptionSection(flags, scan, *card, on_progress));
  }
  card->sections.push_back(GeometrySection(pairs, evaluation.home, scan, card));
}

}  // namespace lifescope
