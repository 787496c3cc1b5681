// Which features match a known trait or a label: F1 of "feature active above a threshold" against "token belongs to a
// person or event with the trait" (board-game coverage of Karvonen et al. 2024, arXiv:2408.00113, on registry traits).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/corpus/label_table.h"
#include "server/dictionary/dictionary.h"
#include "server/model/transformer.h"

namespace lifescope {

struct TraitMatchOptions {
  HookPoint hook_point;
  // Match the booleans and categories of this table of the corpus instead of its traits.
  std::shared_ptr<const LabelTable> labels;
  // Only these traits or labels ("person.sector"); empty: all.
  std::vector<std::string> traits;
  int64_t n_slots = 0;  // 0: the model's max_length
  int64_t batch_tokens = 16384;
  // Trait values that hold on fewer or more than these shares of the validation tokens are left out.
  double min_share = 0.005;
  double max_share = 0.5;
};

// The best feature of one trait value. Feature and threshold are chosen on the validation split, every figure is
// measured on the test split. Tokens: positions of events ([SEP] included), not the prefix.
struct TraitMatch {
  std::string trait;  // "event.illness_active", "person.sector"; a label: its name
  std::string value;  // "yes"; a boolean: "false", "true"
  // kNoFeature (concept_coverage.h): none is ever on with the trait; f1, precision and recall are then 0.
  int64_t feature = 0;
  // Activation above which the feature counts as on: one of {0, .1, ..., .9} x its maximum over the validation tokens.
  // NaN without a feature.
  double threshold = 0;
  double f1 = 0;
  double precision = 0;
  double recall = 0;
  double share = 0;  // of test tokens on which the trait holds: the precision of "always on"
};

// One entry per trait value, best F1 first. Of equally good features the first is chosen, of thresholds the highest.
// Where a trait does not apply or a label is missing none of its values holds. The validation documents are run twice
// (maxima, then counts), the test documents once; `on_progress` counts those runs and returns false to stop (Cancelled
// is thrown). Memory is bounded by the batch and 80 bytes per feature and trait value. Throws c10::ValueError when the
// corpus has no traits (the table no such columns), one of `traits` is not there, or a split has no events, or naming
// what does not fit as BuildFeatureIndex does.
std::vector<TraitMatch> MatchTraits(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
                                    const TraitMatchOptions& options,
                                    const std::function<bool(int64_t done, int64_t total)>& on_progress = {});

}  // namespace lifescope
