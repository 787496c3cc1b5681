#include "server/intervention/run.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <numeric>

namespace lifescope {
namespace {

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

}  // namespace

std::vector<int64_t> ListPositions(const Positions& positions, const Document& document, const std::string& field,
                                   const std::string& name) {
  const int64_t length = document.length();
  std::vector<int64_t> listed;
  if (positions.all()) {
    listed.resize(length);
    std::iota(listed.begin(), listed.end(), 0);
    return listed;
  }
  for (size_t i = 0; i < positions.indices.size(); ++i) {
    const int64_t index = positions.indices[i];
    TORCH_CHECK_INDEX(0 <= index && index < length, Element(field, "indices", i), ": ", index,
                      ", expected 0 <= position < ", length, ", the length of ", name);
    listed.push_back(index);
  }
  for (size_t i = 0; i < positions.ranges.size(); ++i) {
    const auto [begin, end] = positions.ranges[i];
    TORCH_CHECK_VALUE(begin < end, Element(field, "ranges", i), ": [", begin, ", ", end, "), expected begin < end");
    TORCH_CHECK_INDEX(0 <= begin && end <= length, Element(field, "ranges", i), ": [", begin, ", ", end,
                      "), expected positions in [0, ", length, "), the length of ", name);
    for (int64_t position = begin; position < end; ++position) listed.push_back(position);
  }
  for (size_t i = 0; i < positions.events.size(); ++i) {
    AppendEvent(positions.events[i], document, Element(field, "events", i), name, &listed);
  }
  if (positions.cls) listed.push_back(0);
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
