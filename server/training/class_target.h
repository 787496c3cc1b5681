// What a head is trained to predict: one class of every person.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/corpus/corpus.h"
#include "server/corpus/label_table.h"
#include "server/model/classifier_head.h"

namespace lifescope {

struct ClassTarget {
  PredictedTarget target;
  // By the person's index in the corpus; -1 where the person has none: it is then left out.
  std::function<int64_t(int64_t person_index)> class_of;
};

// "trait:sector" (every value a class) or "trait:illness=cardiac" (that value, class 1, against the others): a hidden
// trait of the corpus' persons. "label:smokes", "label:region=north": likewise of a boolean ("no", "yes") or
// categorical label of persons in `labels`, which may be null. Throws c10::ValueError naming the text and what there
// is.
ClassTarget ParseClassTarget(const std::string& text, const std::shared_ptr<const Corpus>& corpus,
                             const std::shared_ptr<const LabelTable>& labels = nullptr);

// The classes dealt out anew among the persons who have one: a control, of which nothing can be learnt.
ClassTarget Shuffled(const ClassTarget& target, const Corpus& corpus, uint64_t seed);

}  // namespace lifescope
