// The words of a life, event by event, for output that joins numbers with text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/civil_time.h"
#include "client/cli/session.h"
#include "client/cli/terminal.h"
#include "lifescope/v1/document.pb.h"

namespace lifescope {

class LifeText {
 public:
  struct Event {
    int32_t number = 0;  // 0: the background
    std::string date;    // "" for the background
    int32_t age = 0;
    // Positions [begin, end).
    int32_t begin = 0;
    int32_t end = 0;
  };

  // `text` as the server sends it: a whole document or a window of one.
  explicit LifeText(v1::DocumentText text, const std::vector<int32_t>& mask_positions = {});
  // Laid out as the server does. Dates count from `reference_date` where it is known.
  static LifeText OfInlineLife(const v1::InlineLife& life, std::optional<absl::CivilDay> reference_date,
                               const std::vector<int32_t>& mask_positions);

  const std::vector<Event>& events() const { return events_; }
  int32_t length() const { return text_.tokens_size(); }
  // Null outside of the text.
  const Event* EventAt(int32_t position) const;
  // "" outside of the text; "[MASK=SKILL_3]" where the mask hides one.
  std::string TokenAt(int32_t position) const;
  // The event's tokens in a row, without its [SEP]; the one at `marked` as «TOKEN».
  Text Line(const Event& event, int32_t marked = -1) const;
  // "1990-03-04", or "background".
  static std::string When(const Event& event) { return event.number == 0 ? "background" : event.date; }

 private:
  v1::DocumentText text_;
  std::vector<bool> masked_;
  std::vector<Event> events_;
};

// The text of a document of a call, where there is one and the server gives it; says so on stderr where it does not.
std::optional<LifeText> FetchText(Session& session, const v1::Document& document);

}  // namespace lifescope
