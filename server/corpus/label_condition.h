// Conditions and numbers of a label description, resolved against one corpus. Immutable and thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/corpus/label_description.h"

namespace lifescope {

// Rows begin, begin + 1, ..., end - 1 of a document; at least one.
struct RowRange {
  int64_t begin = 0, end = 0;
};

// A document with the rows of its events by number; [0] is the background with [CLS] and its [SEP].
struct LifeByEvent {
  explicit LifeByEvent(Document life);

  Document document;
  std::vector<RowRange> events;
};

class BoundCondition {
 public:
  // Throws c10::ValueError on a token that is not in the vocabulary and on a set of no tokens.
  BoundCondition(const LabelCondition& condition, const Corpus& corpus);

  // Whether it holds of rows that lie in one event.
  bool Holds(const LifeByEvent& life, RowRange rows) const;

 private:
  bool HasToken(const LifeByEvent& life, RowRange rows) const;

  LabelCondition::Kind kind_;
  std::vector<BoundCondition> parts_;
  std::vector<bool> in_set_;  // by token
  int64_t from_, below_;      // years, or abspos
};

class BoundNumber {
 public:
  // Throws c10::ValueError when no token has the prefix and a number behind it.
  BoundNumber(const LabelNumber& number, const Vocabulary& vocabulary);

  // The number of the event whose rows they are; NaN when it has none.
  double Of(const LifeByEvent& life, RowRange rows) const;

 private:
  LabelNumber::Kind kind_;
  std::vector<double> number_of_token_;  // NaN: none
};

}  // namespace lifescope
