// Coverage of boolean concepts by the features of a dictionary: how well the best single feature tells each concept
// (Karvonen et al. 2024, arXiv:2408.00113, eq. 3; code adamkarvonen/SAE_BoardGameEval). With F1(i, t, g) of "feature i
// on at fraction t" against "concept g holds":
//   shared threshold (the paper's code): max_t mean_g max_i F1(i, t, g)
//   own threshold (the paper's eq. 3):   mean_g max_{i,t} F1(i, t, g)
// F1 is exact here; the code adds 1e-8 to every denominator.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/evaluation/concept_counts.h"

namespace lifescope {

// The feature of a choice where no feature is ever on with the concept.
inline constexpr int64_t kNoFeature = -1;

// A feature as a detector of a concept, with the counts that it was chosen by.
struct ConceptChoice {
  int64_t concept_index = 0;
  int64_t feature = kNoFeature;
  int64_t level = 0;
  double f1 = 0;
};

// The best feature of a concept at one level; over all levels. Of equally good features the first, of levels the
// highest. A concept that no feature hits gives kNoFeature with F1 0.
ConceptChoice BestAtLevel(const ConceptCounts& counts, int64_t concept_index, int64_t level);
ConceptChoice BestAtAnyLevel(const ConceptCounts& counts, int64_t concept_index);

struct Coverage {
  at::Tensor best_f1;                 // DOUBLE [levels, concepts]: of the best feature
  std::vector<double> mean_by_level;  // over concepts
  int64_t shared_level = 0;           // the best of them, the lowest of equals
  double shared_threshold = 0;
  double own_threshold = 0;
};

// Throws c10::ValueError when there is no concept.
Coverage MeasureCoverage(const ConceptCounts& counts);

}  // namespace lifescope
