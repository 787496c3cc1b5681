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
#include "server/evaluation/bootstrap.h"
#include "server/evaluation/concept_counts.h"

namespace lifescope {

struct RuleRows {
  SparseActivations codes;
  HeldConcepts concepts;
  // Context c is rows [context_offsets[c], context_offsets[c + 1]): the tokens of an event.
  std::vector<int64_t> context_offsets;
  // Person p is rows [person_offsets[p], person_offsets[p + 1]); a context is of one person.
  std::vector<int64_t> person_offsets;
};

struct RuleScore {
  int64_t feature = 0;
  int64_t concept_index = 0;  // the first of equally good ones
  // As metric_definition.h has them, with intervals over the persons of the test rows. NaN, with a note, where the
  // activation or the concept does not vary, or the feature is active on all rows (in all contexts) or none.
  Measurement correlation, fuzzing, detection;
};

struct RuleScores {
  std::vector<RuleScore> rules;
  // Of the three, over the rules of which each is defined; empty where there is no rule.
  std::vector<Measurement> means;
};

// Features that are active on fewer than `min_active` rows of either set, or on all of them, are left out (the
// published scores leave out what fires too rarely to be tested). Memory: 8 bytes per feature and concept, and the
// draws of 256 rules. `fit` needs no persons. Throws c10::ValueError when numbers of rows, features or concepts do not
// fit, there is no concept, or the persons do not ascend over the test rows.
RuleScores ScoreRules(const RuleRows& fit, const RuleRows& test, const BootstrapOptions& bootstrap = {},
                      int64_t min_active = 15);

}  // namespace lifescope
