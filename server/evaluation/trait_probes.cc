#include "server/evaluation/trait_probes.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include "server/evaluation/binary_counts.h"
#include "server/evaluation/corpus_concepts.h"
#include "server/evaluation/logistic_regression.h"

namespace lifescope {
namespace {

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

TraitProbe Probe(const CorpusConcepts::Name& name, const LabelledCodes& fit, const LabelledCodes& test,
                 const at::Tensor& fit_activations, const at::Tensor& test_activations, const std::vector<int64_t>& k) {
  TraitProbe probe;
  probe.trait = name.trait;
  probe.value = name.value;
  probe.share = test.labels.to(at::kDouble).mean().item<double>();
  probe.loss = MeasureProbeLoss(fit.codes, fit.labels);
  for (const int64_t features : k) probe.sparse.push_back(ProbeSparsely(fit, test, features));
  const at::Tensor predicted = FitLogisticRegression(fit_activations, fit.labels).Predict(test_activations);
  probe.activation_accuracy = (predicted == test.labels).to(at::kDouble).mean().item<double>();
  probe.activation_f1 = CountAnswers(predicted, test.labels).F1();
  return probe;
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
  found.lobes = FindLobes(fit.codes, EventOffsets(fit), dictionary.DecoderDirections().to(at::kCPU), options.lobes);
  for (int64_t c = 0; c < concepts.size(); ++c) {
    found.probes.push_back(Probe(concepts.name(c), {fit.codes, LabelsOf(fit_held, c)},
                                 {test.codes, LabelsOf(test_held, c)}, fit.activations, test.activations, options.k));
  }
  if (concepts.size() > 0) {
    found.rules = ScoreRules({fit.codes, fit_held, EventOffsets(fit)}, {test.codes, test_held, EventOffsets(test)});
  }
  return found;
}

}  // namespace lifescope
