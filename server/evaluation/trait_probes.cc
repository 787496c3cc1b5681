#include "server/evaluation/trait_probes.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <limits>
#include <utility>

#include "server/evaluation/binary_counts.h"
#include "server/evaluation/corpus_concepts.h"
#include "server/evaluation/logistic_regression.h"

namespace lifescope {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

HeldConcepts Held(const CorpusConcepts& concepts, const CorpusRows& rows) {
  HeldConcepts held;
  held.concept_count = concepts.size();
  for (int64_t i = 0; i < rows.size(); ++i) {
    concepts.AppendHeldAt(rows.documents[i], rows.events[i], rows.positions[i], &held.concepts);
    held.row_offsets.push_back(static_cast<int64_t>(held.concepts.size()));
  }
  return held;
}

std::vector<int64_t> CountHeld(const HeldConcepts& held) {
  std::vector<int64_t> counts(held.concept_count, 0);
  for (const int32_t c : held.concepts) ++counts[c];
  return counts;
}

at::Tensor LabelsOf(const HeldConcepts& held, int64_t concept_index) {
  at::Tensor labels = at::zeros({held.rows()}, at::kBool);
  for (int64_t row = 0; row < held.rows(); ++row) {
    for (int64_t i = held.row_offsets[row]; i < held.row_offsets[row + 1]; ++i) {
      if (held.concepts[i] == concept_index) labels.data_ptr<bool>()[row] = true;
    }
  }
  return labels;
}

// Where each event begins, and the end.
std::vector<int64_t> EventOffsets(const CorpusRows& rows) {
  std::vector<int64_t> offsets;
  for (int64_t i = 0; i < rows.size(); ++i) {
    const bool is_new = i == 0 || rows.documents[i] != rows.documents[i - 1] || rows.events[i] != rows.events[i - 1];
    if (is_new) offsets.push_back(i);
  }
  offsets.push_back(rows.size());
  return offsets;
}

// A probe without its figures; these are means over rows of the columns that are appended to `by_row`, each DOUBLE
// [test rows].
TraitProbe Probe(const CorpusConcepts::Name& name, const LabelledCodes& fit, const LabelledCodes& test,
                 const at::Tensor& fit_activations, const at::Tensor& test_activations, const std::vector<int64_t>& k,
                 std::vector<at::Tensor>* by_row) {
  const auto add_accuracy = [&](const at::Tensor& predicted) {
    by_row->push_back((predicted == test.labels).to(at::kDouble));
  };
  TraitProbe probe;
  probe.trait = name.trait;
  probe.value = name.value;
  probe.share = test.labels.to(at::kDouble).mean().item<double>();
  probe.loss = MeasureProbeLoss(fit.codes, fit.labels);
  by_row->push_back(LossesOf(probe.loss, test.codes, test.labels));
  for (const int64_t features : k) {
    probe.sparse.push_back(ProbeSparsely(fit, test, features));
    add_accuracy(probe.sparse.back().test_predictions);
  }
  const at::Tensor predicted = FitLogisticRegression(fit_activations, fit.labels).Predict(test_activations);
  add_accuracy(predicted);
  probe.activation_f1 = CountAnswers(predicted, test.labels).F1();
  return probe;
}

// The figures of a probe, without values.
std::vector<Measurement> FigureNames(const std::vector<int64_t>& k) {
  std::vector<Measurement> figures{{"probe_loss_1d_held_out"}};
  for (const int64_t features : k) {
    figures.push_back({"sparse_probe_accuracy"});
    figures.back().note = "k = ";
    figures.back().note += std::to_string(features);
  }
  figures.push_back({"activation_probe_accuracy"});
  return figures;
}

// Figures of all probes, one after the other, and then their means. `sums` [columns]: of `Probe`, and of rows.
std::vector<Measurement> FiguresOf(const at::Tensor& sums, const std::vector<int64_t>& k, size_t probe_count) {
  const double* sum = sums.data_ptr<double>();
  const double rows = sum[sums.numel() - 1];
  const std::vector<Measurement> names = FigureNames(k);
  std::vector<Measurement> means = names, figures;
  for (size_t p = 0; p < probe_count; ++p) {
    for (size_t i = 0; i < names.size(); ++i) {
      figures.push_back(names[i]);
      figures.back().value = *sum++ / rows;
      means[i].value += figures.back().value / static_cast<double>(probe_count);
    }
  }
  figures.insert(figures.end(), means.begin(), means.end());
  return figures;
}

// Gives the probes and their means the figures of `by_row`, with intervals over the persons of the test rows.
void MeasureProbes(std::vector<at::Tensor> by_row, const CorpusRows& test, const TraitProbeOptions& options,
                   TraitProbes* found) {
  Measurement fitted{"probe_loss_1d", 0, kNan, kNan};
  found->means = FigureNames(options.k);
  if (found->probes.empty()) {
    found->means.insert(found->means.begin(), fitted);
    for (Measurement& mean : found->means) mean = {mean.metric, kNan, kNan, kNan, "no trait value to probe for"};
    return;
  }
  by_row.push_back(at::ones({test.size()}, at::kDouble));
  const at::Tensor columns = at::stack(by_row, 1);
  std::vector<at::Tensor> by_person;
  const std::vector<int64_t> offsets = test.DocumentOffsets();
  for (size_t p = 0; p + 1 < offsets.size(); ++p) {
    by_person.push_back(columns.narrow(0, offsets[p], offsets[p + 1] - offsets[p]).sum(0));
  }
  const std::vector<Measurement> figures = MeasureOverPersons(
      at::stack(by_person), [&](const at::Tensor& sums) { return FiguresOf(sums, options.k, found->probes.size()); },
      options.bootstrap);
  auto figure = figures.begin();
  for (TraitProbe& probe : found->probes) {
    const auto end = figure + static_cast<int64_t>(found->means.size());
    probe.figures.assign(figure, end);
    figure = end;
    fitted.value += probe.loss.loss / static_cast<double>(found->probes.size());
  }
  found->means.assign(figure, figures.end());
  found->means.insert(found->means.begin(), fitted);
}

// Concepts that hold of neither too few nor too many of the rows that fit, and of some but not all that measure.
std::vector<int64_t> ConceptsToProbe(const HeldConcepts& fit, const HeldConcepts& test,
                                     const TraitMatchOptions& options) {
  const std::vector<int64_t> fit_holds = CountHeld(fit), test_holds = CountHeld(test);
  std::vector<int64_t> kept;
  for (const int64_t c : ConceptsWithin(fit_holds, fit.rows(), options.min_share, options.max_share)) {
    const bool varies =
        0 < fit_holds[c] && fit_holds[c] < fit.rows() && 0 < test_holds[c] && test_holds[c] < test.rows();
    if (varies) kept.push_back(c);
  }
  return kept;
}

}  // namespace

TraitProbes ProbeTraits(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
                        const TraitProbeOptions& options, const std::function<bool(int64_t done)>& on_progress) {
  const TraitMatchOptions& match = options.match;
  const CorpusConcepts all = CorpusConcepts::Of(corpus, match.labels.get(), match.traits);
  const CorpusScanOptions scan{match.hook_point, match.n_slots, match.batch_tokens};
  CheckScan(model, dictionary, corpus, scan);
  const auto collect = [&](Split split) {
    return CollectRows(
        model, dictionary, corpus, split, scan, options.rows, [](const Document&, int64_t) { return true; },
        on_progress);
  };
  const CorpusRows fit = collect(Split::kValidation), test = collect(Split::kTest);
  TORCH_CHECK_VALUE(fit.size() > 0, "corpus: no event in the validation split, expected at least one");
  TORCH_CHECK_VALUE(test.size() > 0, "corpus: no event in the test split, expected at least one");
  const CorpusConcepts concepts = all.Select(ConceptsToProbe(Held(all, fit), Held(all, test), match));
  const HeldConcepts fit_held = Held(concepts, fit), test_held = Held(concepts, test);
  TraitProbes found;
  std::vector<at::Tensor> by_row;
  for (int64_t c = 0; c < concepts.size(); ++c) {
    found.probes.push_back(Probe(concepts.name(c), {fit.codes, LabelsOf(fit_held, c)},
                                 {test.codes, LabelsOf(test_held, c)}, fit.activations, test.activations, options.k,
                                 &by_row));
  }
  MeasureProbes(std::move(by_row), test, options, &found);
  if (options.probes_alone) return found;
  found.lobes = FindLobes(fit.codes, EventOffsets(fit), dictionary.DecoderDirections().to(at::kCPU), options.lobes);
  if (concepts.size() > 0) {
    const auto rule_rows = [](const CorpusRows& rows, const HeldConcepts& held) {
      return RuleRows{rows.codes, held, EventOffsets(rows), rows.DocumentOffsets()};
    };
    found.rules = ScoreRules(rule_rows(fit, fit_held), rule_rows(test, test_held), options.bootstrap);
  }
  return found;
}

}  // namespace lifescope
