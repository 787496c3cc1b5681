#include "server/app/document_text.h"

#include <c10/util/Exception.h>

#include <algorithm>

namespace lifescope {

void ToText(const Corpus& corpus, int64_t index, int32_t first_event, int32_t last_event, v1::DocumentText& text) {
  const Document document = corpus.DocumentAt(index);
  const auto begin = std::lower_bound(document.event.begin(), document.event.end(), first_event);
  const auto end = std::upper_bound(begin, document.event.end(), last_event);
  const int64_t reference = corpus.manifest().reference_date.DayNumber();
  text.set_person_id(corpus.person_id(index));
  text.set_first_position(static_cast<int32_t>(begin - document.event.begin()));
  for (int64_t i = begin - document.event.begin(); i < end - document.event.begin(); ++i) {
    text.add_tokens(corpus.vocabulary().token(document.token[i]));
    text.add_abspos(document.abspos[i]);
    text.add_ages(document.age[i]);
    text.add_events(document.event[i]);
    while (text.event_dates_size() <= document.event[i]) text.add_event_dates();
    if (document.event[i] > 0) {
      text.set_event_dates(document.event[i], Date::FromDayNumber(reference + document.abspos[i] - 1).ToString());
    }
  }
}

int32_t EventAt(const Corpus& corpus, int64_t index, int64_t position) {
  const Document document = corpus.DocumentAt(index);
  TORCH_CHECK_INDEX(0 <= position && position < document.length(), "position: ", position,
                    ", expected 0 <= position < ", document.length(), ", the length of person ",
                    corpus.person_id(index));
  return document.event[position];
}

}  // namespace lifescope
