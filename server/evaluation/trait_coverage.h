// Coverage of the known traits of a corpus, or of labels, by a dictionary: coverage and reconstruction of Karvonen et
// al. 2024 (arXiv:2408.00113; concept_coverage.h, concept_reconstruction.h) with everything chosen on validation
// persons and measured on test persons, intervals bootstrapped over these. Any dictionary can be measured: an SAE,
// neurons, principal components, random directions. Only positive activations count as on: a direction whose negative
// side matters should be in the dictionary twice. Coverage grows with the number of active features: compare at equal
// L0.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/dictionary/dictionary.h"
#include "server/evaluation/bootstrap.h"
#include "server/evaluation/concept_reconstruction.h"
#include "server/evaluation/trait_match.h"
#include "server/model/transformer.h"

namespace lifescope {

struct TraitCoverageOptions {
  TraitMatchOptions match;
  DetectorOptions detectors;
  BootstrapOptions bootstrap;  // 0 resamples: no intervals
};

// The figures of TraitCoverage, as metric_definition.h defines them: F1 over event tokens of test persons.
inline constexpr char kCoverageOwnThreshold[] = "coverage_own_threshold";
inline constexpr char kCoverageSharedThreshold[] = "coverage_shared_threshold";
inline constexpr char kReconstruction[] = "concept_reconstruction";
inline constexpr char kReconstructionBest[] = "concept_reconstruction_best_threshold";
inline constexpr char kAlwaysOn[] = "coverage_always_on";

struct TraitCoverage {
  std::vector<TraitMatch> matches;         // of each concept with its own threshold, in the order of the corpus
  int64_t left_out_count = 0;              // concepts that hold of too few or too many tokens
  std::vector<Measurement> figures;        // in the order above; NaN where there is no concept, with a note
  std::vector<std::vector<double>> draws;  // bootstrap draws of each figure
  double shared_fraction = 0;              // of the maximum: chosen for the shared threshold
  double l0 = 0;                           // active features per event token of the test persons
  int64_t test_token_count = 0;
  int64_t test_person_count = 0;
};

// The validation documents are run twice (maxima, then counts), the test documents once; `on_progress` counts those
// runs and returns false to stop (Cancelled is thrown). Memory: 80 bytes per feature and concept that is not left out,
// and 8 bytes per test person for each of five counts of a concept. Tokens, concepts left out, ties and errors are
// those of MatchTraits.
TraitCoverage CoverTraits(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
                          const TraitCoverageOptions& options,
                          const std::function<bool(int64_t done, int64_t total)>& on_progress = {});

}  // namespace lifescope
