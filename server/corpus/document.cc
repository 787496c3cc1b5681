#include "server/corpus/document.h"

#include <c10/util/Exception.h>

namespace lifescope {
namespace {

// The first event of the longest suffix that fits `budget` tokens.
size_t FirstKept(const std::vector<const Event*>& events, int64_t budget) {
  size_t first = events.size();
  while (first > 0) {
    budget -= static_cast<int64_t>(events[first - 1]->tokens.size()) + 1;
    if (budget < 0) break;
    --first;
  }
  return first;
}

struct RowWriter {
  Document& document;
  int32_t abspos, age, segment, event;

  void Add(int32_t token) {
    document.token.push_back(token);
    document.abspos.push_back(abspos);
    document.age.push_back(age);
    document.segment.push_back(segment);
    document.event.push_back(event);
  }
};

}  // namespace

EncodedLife EncodeLife(int64_t person_id, const std::vector<int32_t>& background, const std::vector<Event>& events,
                       int64_t max_length) {
  const int64_t prefix_length = static_cast<int64_t>(background.size()) + 2;
  TORCH_CHECK_VALUE(prefix_length <= max_length, "person ", person_id, ": max_length is ", max_length,
                    ", expected at least ", prefix_length, " for the prefix alone");
  std::vector<const Event*> said;
  for (const Event& event : events) {
    if (!event.tokens.empty()) said.push_back(&event);
  }
  const size_t first = FirstKept(said, max_length - prefix_length);

  EncodedLife life;
  life.clipped_event_count = static_cast<int64_t>(first);
  life.document.person_id = person_id;
  RowWriter prefix{life.document, 0, 0, 1, 0};
  prefix.Add(kCls);
  for (const int32_t token : background) prefix.Add(token);
  prefix.Add(kSep);
  for (size_t i = first; i < said.size(); ++i) {
    const int32_t segment = static_cast<int32_t>((i + 1) % 3) + 1;  // 2, 3, 1, counted from the first event of all
    RowWriter row{life.document, said[i]->abspos, said[i]->age, segment, static_cast<int32_t>(i - first) + 1};
    for (const int32_t token : said[i]->tokens) row.Add(token);
    row.Add(kSep);
  }
  return life;
}

}  // namespace lifescope
