// Explanations of features without a language model: "high where this concept holds", scored as explanations are
// (simulation_score.h: Bills et al. 2023; detection and fuzzing of EleutherAI's delphi). For each feature the concept
// is chosen on one set of rows, by correlation, and scored on another:
//   correlation = Pearson of activation and [concept holds], over all rows
//   fuzzing     = balanced accuracy of [concept holds] for [feature active, above 0], over rows
//   detection   = the same over contexts: concept holds, feature active at any of their rows
#pragma once

#include <cstdint>
#include <vector>

#include "server/dictionary/dictionary.h"
#include "server/evaluation/concept_counts.h"

namespace lifescope {

struct RuleRows {
  SparseActivations codes;
  HeldConcepts concepts;
  // Context c is rows [context_offsets[c], context_offsets[c + 1]): the tokens of an event.
  std::vector<int64_t> context_offsets;
};

struct RuleScore {
  int64_t feature = 0;
  int64_t concept_index = 0;  // the first of equally good ones
  double correlation = 0;
  double fuzzing = 0;
  double detection = 0;
};

// Features that are active on fewer than `min_active` rows of either set, or on all of them, are left out (the
// published scores leave out what fires too rarely to be tested). Memory: 8 bytes per feature and concept. Throws
// c10::ValueError when numbers of rows, features or concepts do not fit, or there is no concept.
std::vector<RuleScore> ScoreRules(const RuleRows& fit, const RuleRows& test, int64_t min_active = 15);

}  // namespace lifescope
