#include "server/corpus/date_format.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace lifescope {
namespace {

constexpr std::string_view kDaysSince = "days since ";

// A time of a day and a date while they are being read.
struct Parts {
  int32_t year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
};

// Takes one to `most` digits off the front.
bool TakeNumber(std::string_view* text, size_t most, int32_t* number) {
  size_t digits = 0;
  while (digits < std::min(most, text->size()) && std::isdigit(static_cast<unsigned char>((*text)[digits]))) ++digits;
  if (digits == 0) return false;
  std::from_chars(text->data(), text->data() + digits, *number);
  text->remove_prefix(digits);
  return true;
}

bool TakeMonthName(std::string_view* text, int32_t* month) {
  constexpr std::array<std::string_view, 12> kNames = {"jan", "feb", "mar", "apr", "may", "jun",
                                                       "jul", "aug", "sep", "oct", "nov", "dec"};
  std::string name(text->substr(0, 3));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return false;
  *month = static_cast<int32_t>(found - kNames.begin()) + 1;
  text->remove_prefix(3);
  return true;
}

bool TakePart(char kind, std::string_view* text, Parts* parts) {
  switch (kind) {
    case 'Y': {
      const size_t before = text->size();
      return TakeNumber(text, 4, &parts->year) && before - text->size() == 4;
    }
    case 'm':
      return TakeNumber(text, 2, &parts->month);
    case 'd':
      return TakeNumber(text, 2, &parts->day);
    case 'b':
      return TakeMonthName(text, &parts->month);
    case 'H':
      return TakeNumber(text, 2, &parts->hour);
    case 'M':
      return TakeNumber(text, 2, &parts->minute);
    case 'S':
      return TakeNumber(text, 2, &parts->second);
    default:
      return false;
  }
}

std::optional<Moment> MomentOf(const Parts& parts) {
  const Date date{parts.year, parts.month, parts.day};
  if (!date.IsValid() || parts.hour > 23 || parts.minute > 59 || parts.second > 59) return std::nullopt;
  return Moment{date, parts.hour * 3600 + parts.minute * 60 + parts.second};
}

std::optional<Moment> ReadPattern(std::string_view pattern, std::string_view text) {
  Parts parts;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '%') {
      if (!TakePart(pattern[++i], &text, &parts)) return std::nullopt;
    } else {
      if (text.empty() || text[0] != pattern[i]) return std::nullopt;
      text.remove_prefix(1);
    }
  }
  return text.empty() ? MomentOf(parts) : std::nullopt;
}

std::optional<Moment> ReadIso(std::string_view text) {
  const std::optional<Date> date = Date::Parse(text);
  if (!date) return std::nullopt;
  Moment moment{*date, 0};
  // A fraction of a second or a zone is of no use at a resolution of days.
  if (text.size() >= 19) {
    const std::optional<Moment> timed =
        ReadPattern("%Y-%m-%d %H:%M:%S", std::string(text.substr(0, 10)) + " " + std::string(text.substr(11, 8)));
    if (timed) moment = *timed;
  }
  return moment;
}

std::optional<Moment> ReadDays(const Date& first_day, std::string_view text) {
  if (text.size() > 2 && text.substr(text.size() - 2) == ".0") text.remove_suffix(2);
  int32_t days = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), days);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  const Moment moment{Date::FromDayNumber(first_day.DayNumber() + days), 0};
  return moment.date.IsValid() ? std::optional(moment) : std::nullopt;
}

// %T written out.
std::string WithTime(std::string pattern) {
  for (size_t at = pattern.find("%T"); at != std::string::npos; at = pattern.find("%T")) {
    pattern.replace(at, 2, "%H:%M:%S");
  }
  return pattern;
}

}  // namespace

DateFormat::DateFormat(const std::string& pattern) : pattern_(WithTime(pattern)) {
  if (pattern_.rfind(kDaysSince, 0) == 0) {
    first_day_ = Date::Parse(std::string_view(pattern_).substr(kDaysSince.size()));
    TORCH_CHECK_VALUE(first_day_.has_value(), "date format '", pattern, "', expected 'days since YYYY-MM-DD'");
    return;
  }
  for (size_t at = pattern_.find('%'); at != std::string::npos; at = pattern_.find('%', at + 2)) {
    TORCH_CHECK_VALUE(
        at + 1 < pattern_.size() && std::string_view("YmdbHMS").find(pattern_[at + 1]) != std::string::npos,
        "date format '", pattern, "', expected %Y, %m, %d, %b, %H, %M, %S or %T after each '%'");
  }
  const auto has = [&](const char* part) { return pattern_.find(part) != std::string::npos; };
  TORCH_CHECK_VALUE(pattern_.empty() || (has("%Y") && (has("%m") || has("%b")) && has("%d")), "date format '", pattern,
                    "', expected a year, a month and a day");
}

std::optional<Moment> DateFormat::Read(std::string_view text) const {
  if (first_day_) return ReadDays(*first_day_, text);
  return pattern_.empty() ? ReadIso(text) : ReadPattern(pattern_, text);
}

std::optional<Moment> ReadMoment(const std::vector<DateFormat>& formats, std::string_view text) {
  if (formats.empty()) return ReadIso(text);
  for (const DateFormat& format : formats) {
    if (const std::optional<Moment> moment = format.Read(text)) return moment;
  }
  return std::nullopt;
}

}  // namespace lifescope
