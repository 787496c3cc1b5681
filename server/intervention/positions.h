// Positions of a document: chosen by index, range, event or part, and kept by what they hold.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/corpus/document.h"

namespace lifescope {

// Nothing set: every position.
struct Positions {
  // The union of what is chosen here; nothing chosen: every position.
  std::vector<int64_t> indices;
  std::vector<std::pair<int64_t, int64_t>> ranges;  // half-open
  std::vector<int32_t> events;
  bool cls = false;
  bool background = false;  // the prefix without [CLS] and [SEP]

  // Filters: of these positions, those that pass every filter that is set; it may be none.
  std::vector<int32_t> tokens;                        // the position holds one of these tokens
  std::optional<std::pair<int32_t, int32_t>> age;     // years, half-open; the prefix has no age and does not pass
  std::optional<std::pair<int32_t, int32_t>> abspos;  // days as in Document, half-open; likewise

  // Whether nothing is chosen, whatever the filters.
  bool chooses_all() const { return indices.empty() && ranges.empty() && events.empty() && !cls && !background; }
  bool all() const { return chooses_all() && tokens.empty() && !age.has_value() && !abspos.has_value(); }
};

// The positions in the order given (indices, ranges, events, cls, background; within an event or a part ascending),
// repeats included. Throws c10::IndexError (position or event outside the document) or c10::ValueError (empty range or
// interval, more than 65536 positions named and more than the document has) with a message that starts with `field` and
// calls the document `name`.
std::vector<int64_t> ListPositions(const Positions& positions, const Document& document, const std::string& field,
                                   const std::string& name = "the document");

// The same positions in ascending order, without repeats.
std::vector<int64_t> ResolvePositions(const Positions& positions, const Document& document, const std::string& field,
                                      const std::string& name = "the document");

}  // namespace lifescope
