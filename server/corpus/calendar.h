// Dates as day numbers (proleptic Gregorian), and their ISO 8601 text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lifescope {

struct Date {
  int32_t year = 1970;
  int32_t month = 1;
  int32_t day = 1;

  bool operator==(const Date&) const = default;
  // It is a day of the calendar, from the year 1 to 9999.
  bool IsValid() const;
  // 1 on the first of January.
  int32_t DayOfYear() const;
  // Days since 1970-01-01.
  int64_t DayNumber() const;
  static Date FromDayNumber(int64_t days);
  // "2020-05-02", with or without a time after it. Nothing when it is not a date.
  static std::optional<Date> Parse(std::string_view text);
  std::string ToString() const;
};

}  // namespace lifescope
