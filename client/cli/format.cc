#include "client/cli/format.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lifescope {

std::string FormatCount(int64_t count) {
  const std::string digits = absl::StrCat(count);
  const size_t sign = count < 0 ? 1 : 0;
  std::string grouped;
  for (size_t index = 0; index < digits.size(); ++index) {
    if (index > sign && (digits.size() - index) % 3 == 0) grouped += ',';
    grouped += digits[index];
  }
  return grouped;
}

std::string FormatPercent(double fraction) {
  const double percent = 100 * fraction;
  if (percent == 0) return "0 %";
  if (percent < 0.0001) return "<0.0001 %";
  if (percent < 0.01) return absl::StrFormat("%.4f %%", percent);
  if (percent < 0.1) return absl::StrFormat("%.3f %%", percent);
  if (percent < 1) return absl::StrFormat("%.2f %%", percent);
  return absl::StrFormat("%.1f %%", percent);
}

std::string FormatNumber(double value) {
  if (value == 0) return "0";
  if (!std::isfinite(value)) return absl::StrFormat("%g", value);
  const double size = std::fabs(value);
  if (size < 1e-4 || size >= 1e9) return absl::StrFormat("%.2g", value);
  if (size >= 999.5) return FormatCount(std::llround(value));
  // The place of the first digit, after rounding, decides how many follow the point: 0.9999 is 1.00.
  const std::string scientific = absl::StrFormat("%.2e", size);
  const int place = std::stoi(scientific.substr(scientific.find('e') + 1));
  return absl::StrFormat("%.*f", std::max(0, 2 - place), value);
}

std::string FormatFixed(double value, int decimals) {
  const std::string text = absl::StrFormat("%.*f", decimals, value);
  const bool is_zero = text.find_first_not_of("-0.") == std::string::npos;
  return is_zero && text.front() == '-' ? text.substr(1) : text;
}

std::string FormatBytes(int64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  double size = static_cast<double>(bytes) / 1024;
  int unit = 0;
  while (size >= 1024 && unit < 3) {
    size /= 1024;
    ++unit;
  }
  const int decimals = size < 10 && size != std::floor(size) ? 1 : 0;
  return absl::StrFormat("%.*f %s", decimals, size, kUnits[unit]);
}

std::string FormatSpan(absl::Duration span) {
  const int64_t seconds = absl::ToInt64Seconds(span);
  if (seconds < 60) return absl::StrCat(seconds, " s");
  if (seconds < 60 * 60) return absl::StrCat(seconds / 60, " min");
  if (seconds < 24 * 60 * 60) return absl::StrCat(seconds / 3600, " h");
  const int64_t days = seconds / 86400;
  return absl::StrCat(days, days == 1 ? " day" : " days");
}

std::string FormatAge(absl::Duration age) {
  return age < absl::Seconds(1) ? "just now" : absl::StrCat(FormatSpan(age), " ago");
}

std::string ShortDigest(const std::string& digest) {
  constexpr size_t kShown = sizeof("sha256:") - 1 + 12;
  return digest.substr(0, kShown);
}

absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

}  // namespace lifescope
