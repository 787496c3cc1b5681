// Which positions of two documents belong together, so that a value of one can be put into the other: lives never align
// by themselves.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "server/corpus/document.h"

namespace lifescope {

enum class AlignmentRule {
  kSlot,         // position i with position i
  kEventNumber,  // event k with event k
  kEventDate,    // events of the same day, in order within the day
};

struct Alignment {
  // (position in the base, position in the donor), ascending in the base; each position at most once.
  std::vector<std::pair<int64_t, int64_t>> pairs;
  // Positions that have no partner, ascending.
  std::vector<int64_t> base_only, donor_only;
};

// By events: the prefix ([CLS], background, its [SEP]) is paired with the prefix, and within two events tokens are
// paired in order and their [SEP]s with each other; the longer one's other tokens have no partner.
Alignment Align(const Document& base, const Document& donor, AlignmentRule rule);

}  // namespace lifescope
