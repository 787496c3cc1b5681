// How a table writes its dates.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/corpus/calendar.h"

namespace lifescope {

// A date and the second of its day.
struct Moment {
  Date date;
  int32_t second = 0;

  // Since 1970-01-01.
  int64_t Seconds() const { return date.DayNumber() * 86400 + second; }
};

// One of
//   ""                       2020-05-02, with or without a time after it (2020-05-02T13:00:00)
//   "%d/%m/%Y", "%d%b%Y:%T"  of %Y %m %d %b (Jan) %H %M %S, %T for %H:%M:%S; numbers of at most 4 or 2 digits
//   "days since 1960-01-01"  a whole number of days, as SAS has them; ".0" behind it is allowed
// Immutable and thread-safe.
class DateFormat {
 public:
  // Throws c10::ValueError on a pattern that is none of these.
  explicit DateFormat(const std::string& pattern);

  // Nothing when `text` is not written so, or is no date of the calendar.
  std::optional<Moment> Read(std::string_view text) const;
  // What a reader should know: "YYYY-MM-DD", or the pattern.
  std::string ToString() const { return pattern_.empty() ? "YYYY-MM-DD" : pattern_; }

 private:
  std::string pattern_;
  std::optional<Date> first_day_;  // of "days since"
};

// The first of `formats` that can read the text. Without formats: DateFormat("").
std::optional<Moment> ReadMoment(const std::vector<DateFormat>& formats, std::string_view text);

}  // namespace lifescope
