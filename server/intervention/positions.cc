#include "server/intervention/positions.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <numeric>

namespace lifescope {
namespace {

// Positions that a list may name, repeats included, unless the document has more.
constexpr int64_t kMostNamed = int64_t{1} << 16;

// Path of an element of a list in messages.
std::string Element(const std::string& field, const char* list, size_t index) {
  return field + "." + list + "[" + std::to_string(index) + "]";
}

void AppendEvent(int32_t event, const Document& document, const std::string& field, const std::string& name,
                 std::vector<int64_t>* listed) {
  const size_t before = listed->size();
  for (int64_t position = 0; position < static_cast<int64_t>(document.event.size()); ++position) {
    if (document.event[position] == event) listed->push_back(position);
  }
  TORCH_CHECK_INDEX(listed->size() > before, field, ": ", event, ", expected 0 <= event <= ", document.event_count(),
                    ", an event of ", name);
}

// Called as the list grows, so that no request makes it much longer than the bound.
void CheckCount(const std::vector<int64_t>& listed, const Document& document, const std::string& field) {
  const int64_t most = std::max(kMostNamed, document.length());
  TORCH_CHECK_VALUE(static_cast<int64_t>(listed.size()) <= most, field, ": more than ", most,
                    " positions named, expected at most ", most);
}

// The positions that are chosen, before the filters.
std::vector<int64_t> Choose(const Positions& positions, const Document& document, const std::string& field,
                            const std::string& name) {
  const int64_t length = document.length();
  std::vector<int64_t> listed;
  if (positions.chooses_all()) {
    listed.resize(length);
    std::iota(listed.begin(), listed.end(), 0);
    return listed;
  }
  for (size_t i = 0; i < positions.indices.size(); ++i) {
    const int64_t index = positions.indices[i];
    TORCH_CHECK_INDEX(0 <= index && index < length, Element(field, "indices", i), ": ", index,
                      ", expected 0 <= position < ", length, ", the length of ", name);
    listed.push_back(index);
    CheckCount(listed, document, field);
  }
  for (size_t i = 0; i < positions.ranges.size(); ++i) {
    const auto [begin, end] = positions.ranges[i];
    TORCH_CHECK_VALUE(begin < end, Element(field, "ranges", i), ": [", begin, ", ", end, "), expected begin < end");
    TORCH_CHECK_INDEX(0 <= begin && end <= length, Element(field, "ranges", i), ": [", begin, ", ", end,
                      "), expected positions in [0, ", length, "), the length of ", name);
    for (int64_t position = begin; position < end; ++position) listed.push_back(position);
    CheckCount(listed, document, field);
  }
  for (size_t i = 0; i < positions.events.size(); ++i) {
    AppendEvent(positions.events[i], document, Element(field, "events", i), name, &listed);
    CheckCount(listed, document, field);
  }
  if (positions.cls) listed.push_back(0);
  for (int64_t position = 1; positions.background && position < length; ++position) {
    if (document.event[position] == 0 && document.token[position] != kSep) listed.push_back(position);
  }
  return listed;
}

using Interval = std::optional<std::pair<int32_t, int32_t>>;

void CheckInterval(const Interval& interval, const std::string& field) {
  TORCH_CHECK_VALUE(!interval.has_value() || interval->first < interval->second, field, ": [", interval->first, ", ",
                    interval->second, "), expected begin < end");
}

bool Holds(const Interval& interval, int32_t value) {
  return !interval.has_value() || (interval->first <= value && value < interval->second);
}

// `tokens`: those of the filter, ascending.
bool Passes(const Positions& positions, const std::vector<int32_t>& tokens, const Document& document,
            int64_t position) {
  const bool timed = positions.age.has_value() || positions.abspos.has_value();
  if (timed && document.event[position] == 0) return false;
  return (tokens.empty() || std::binary_search(tokens.begin(), tokens.end(), document.token[position])) &&
         Holds(positions.age, document.age[position]) && Holds(positions.abspos, document.abspos[position]);
}

}  // namespace

std::vector<int64_t> ListPositions(const Positions& positions, const Document& document, const std::string& field,
                                   const std::string& name) {
  CheckInterval(positions.age, field + ".age");
  CheckInterval(positions.abspos, field + ".abspos");
  std::vector<int64_t> listed = Choose(positions, document, field, name);
  std::vector<int32_t> tokens = positions.tokens;
  std::sort(tokens.begin(), tokens.end());
  std::erase_if(listed, [&](int64_t position) { return !Passes(positions, tokens, document, position); });
  return listed;
}

std::vector<int64_t> ResolvePositions(const Positions& positions, const Document& document, const std::string& field,
                                      const std::string& name) {
  std::vector<int64_t> resolved = ListPositions(positions, document, field, name);
  std::sort(resolved.begin(), resolved.end());
  resolved.erase(std::unique(resolved.begin(), resolved.end()), resolved.end());
  return resolved;
}

}  // namespace lifescope
