#include "server/intervention/alignment.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "server/corpus/vocabulary.h"

namespace lifescope {
namespace {

struct Span {
  int64_t begin = 0;
  int64_t end = 0;
};

// What events are matched by: number, or day and place within the day.
using EventKey = std::pair<int64_t, int64_t>;

std::map<EventKey, Span> EventsOf(const Document& document, AlignmentRule rule) {
  std::map<EventKey, Span> events;
  std::map<int64_t, int64_t> seen;  // events of a day
  for (int64_t begin = 0; begin < document.length();) {
    int64_t end = begin + 1;
    while (end < document.length() && document.event[end] == document.event[begin]) ++end;
    const int64_t number = document.event[begin];
    // The prefix has no day: it is its own.
    const int64_t day = number == 0 ? -1 : document.abspos[begin];
    const EventKey key = rule == AlignmentRule::kEventNumber ? EventKey{number, 0} : EventKey{day, seen[day]++};
    events[key] = {begin, end};
    begin = end;
  }
  return events;
}

void PairEvents(const Document& base, Span a, const Document& donor, Span b, Alignment& alignment) {
  const bool separators = base.token[a.end - 1] == kSep && donor.token[b.end - 1] == kSep;
  if (separators) {
    --a.end;
    --b.end;
  }
  const int64_t common = std::min(a.end - a.begin, b.end - b.begin);
  for (int64_t i = 0; i < common; ++i) alignment.pairs.emplace_back(a.begin + i, b.begin + i);
  if (separators) alignment.pairs.emplace_back(a.end, b.end);
}

std::vector<int64_t> Missing(int64_t length, const std::vector<bool>& paired) {
  std::vector<int64_t> missing;
  for (int64_t i = 0; i < length; ++i) {
    if (!paired[static_cast<size_t>(i)]) missing.push_back(i);
  }
  return missing;
}

}  // namespace

Alignment Align(const Document& base, const Document& donor, AlignmentRule rule) {
  Alignment alignment;
  if (rule == AlignmentRule::kSlot) {
    for (int64_t i = 0; i < std::min(base.length(), donor.length()); ++i) alignment.pairs.emplace_back(i, i);
  } else {
    const std::map<EventKey, Span> theirs = EventsOf(donor, rule);
    for (const auto& [key, span] : EventsOf(base, rule)) {
      const auto found = theirs.find(key);
      if (found != theirs.end()) PairEvents(base, span, donor, found->second, alignment);
    }
    std::sort(alignment.pairs.begin(), alignment.pairs.end());
  }
  std::vector<bool> base_paired(static_cast<size_t>(base.length())), donor_paired(static_cast<size_t>(donor.length()));
  for (const auto& [a, b] : alignment.pairs)
    base_paired[static_cast<size_t>(a)] = donor_paired[static_cast<size_t>(b)] = true;
  alignment.base_only = Missing(base.length(), base_paired);
  alignment.donor_only = Missing(donor.length(), donor_paired);
  return alignment;
}

}  // namespace lifescope
