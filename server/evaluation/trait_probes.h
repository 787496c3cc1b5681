// What a dictionary knows of the traits of a corpus, or of labels, beyond the best single feature: 1-D probe loss
// (probe_loss.h), sparse probes (sparse_probing.h) beside a probe on the activations themselves, and rules as
// explanations of its features (rule_scores.h). A row is an event token; validation persons fit, test persons measure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "server/evaluation/corpus_rows.h"
#include "server/evaluation/feature_lobes.h"
#include "server/evaluation/probe_loss.h"
#include "server/evaluation/rule_scores.h"
#include "server/evaluation/sparse_probing.h"
#include "server/evaluation/trait_match.h"

namespace lifescope {

struct TraitProbeOptions {
  TraitMatchOptions match;
  CorpusRowOptions rows;  // of each split
  std::vector<int64_t> k{1, 2, 5};
  FeatureLobeOptions lobes;
  BootstrapOptions bootstrap;  // over test persons
  bool probes_alone = false;   // neither rules nor lobes
};

struct TraitProbe {
  std::string trait, value;
  double share = 0;                 // of the test rows of which the trait holds
  ProbeLoss loss;                   // on the validation rows
  std::vector<SparseProbe> sparse;  // by k
  double activation_f1 = 0;         // of a logistic regression on the activations
  // probe_loss_1d_held_out, sparse_probe_accuracy of each k, activation_probe_accuracy: on the test rows, with
  // intervals over persons.
  std::vector<Measurement> figures;
};

struct TraitProbes {
  std::vector<TraitProbe> probes;  // in the order of the corpus
  // Means over the probes: probe_loss_1d (of the validation rows, without an interval), then those of their figures.
  // NaN without probes.
  std::vector<Measurement> means;
  RuleScores rules;    // concept_index: of `probes`
  FeatureLobes lobes;  // of the validation rows, by event
};

// Concepts left out and errors are those of MatchTraits; so are those that hold of all or none of the test rows.
// `on_progress` in documents of either split.
TraitProbes ProbeTraits(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
                        const TraitProbeOptions& options, const std::function<bool(int64_t done)>& on_progress = {});

}  // namespace lifescope
