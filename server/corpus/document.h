// A life as the model reads it.
#pragma once

#include <cstdint>
#include <vector>

#include "server/corpus/vocabulary.h"

namespace lifescope {

// Rows of one document, without padding. The vectors have equal lengths.
struct Document {
  int64_t person_id = 0;
  std::vector<int32_t> token;
  std::vector<int32_t> abspos;   // days since the reference date plus one; 0 in the prefix
  std::vector<int32_t> age;      // years; 0 in the prefix
  std::vector<int32_t> segment;  // 1 in the prefix; events cycle 2, 3, 1
  // Event number: 0 for the prefix ([CLS], background, [SEP]); event k's tokens and its [SEP] have k.
  std::vector<int32_t> event;

  int64_t length() const { return static_cast<int64_t>(token.size()); }
  int32_t event_count() const { return event.empty() ? 0 : event.back(); }
};

// One dated event of a person, tokenised.
struct Event {
  int32_t abspos = 0;
  int32_t age = 0;
  std::vector<int32_t> tokens;
};

struct EncodedLife {
  Document document;
  // Events left out at the front to fit; event numbers of the document start after them at 1 again.
  int64_t clipped_event_count = 0;
};

// Lays out [CLS] background [SEP] event [SEP] event [SEP] ...: segments are given before clipping, then the
// longest suffix of whole events that fits max_length is kept (life2vec's rule). An event that alone is too long is
// left out and so is everything before it. Events without tokens are skipped.
EncodedLife EncodeLife(int64_t person_id, const std::vector<int32_t>& background, const std::vector<Event>& events,
                       int64_t max_length);

}  // namespace lifescope
