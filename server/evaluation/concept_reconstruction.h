// Reconstruction of boolean concepts from the active features of a row (board reconstruction of Karvonen et al. 2024,
// arXiv:2408.00113; code adamkarvonen/SAE_BoardGameEval): detectors of high precision are found on one set of rows,
// and on another a concept is predicted where any of its detectors is on. Right and wrong predictions are pooled over
// rows and concepts.
#pragma once

#include <cstdint>
#include <vector>

#include "server/evaluation/binary_counts.h"
#include "server/evaluation/concept_counts.h"

namespace lifescope {

struct DetectorOptions {
  double precision = 0.95;
  // Rows with the concept on which a detector must be on.
  int64_t min_hits = 10;
};

// The concepts that each feature detects at each level: its precision there is at least that of the options.
class ConceptDetectors {
 public:
  ConceptDetectors(const ConceptCounts& counts, const DetectorOptions& options);

  const ThresholdGrid& grid() const { return grid_; }
  int64_t concept_count() const { return concept_count_; }
  const std::vector<int32_t>& At(int64_t feature, int64_t level) const {
    return concepts_[feature * grid_.level_count() + level];
  }
  // Pairs of feature and concept at a level.
  int64_t CountAt(int64_t level) const;

 private:
  ThresholdGrid grid_;
  int64_t concept_count_;
  std::vector<std::vector<int32_t>> concepts_;  // [features, levels]
};

struct Reconstruction {
  BinaryCounts predictions;
  // Groups of exclusive concepts (a square of a board, the values of a trait) with one right and one wrong prediction.
  int64_t contradictions = 0;

  // As predictions.F1(), but a contradiction counts as a wrong prediction alone, neither a hit nor a miss (the "per
  // square" of the code).
  double F1PerGroup() const;

  Reconstruction& operator+=(const Reconstruction& other);
};

// Predictions of one set of rows: one entry per level, and a last one with every feature at the highest level that it
// reaches and detects anything at. `group` of each concept; exclusive concepts share one. Throws c10::ValueError when
// the numbers of rows, features or concepts do not fit.
std::vector<Reconstruction> ReconstructConcepts(const ConceptDetectors& detectors, const SparseActivations& codes,
                                                const HeldConcepts& concepts, const std::vector<int64_t>& group);

}  // namespace lifescope
