#include "client/cli/number_list.h"

#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace lifescope {
namespace {

constexpr int64_t kMaxCount = 1'000'000;

bool ParseNumber(const std::string& text, int64_t& value) {
  // SimpleAtoi alone would take " 3" and "+3".
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos && absl::SimpleAtoi(text, &value);
}

}  // namespace

absl::StatusOr<std::vector<NumberRange>> ParseRanges(const std::string& option, const std::string& text) {
  std::vector<NumberRange> ranges;
  const std::vector<std::string> parts = absl::StrSplit(text, ',');
  for (const std::string& part : parts) {
    const std::vector<std::string> ends = absl::StrSplit(part, absl::MaxSplits('-', 1));
    NumberRange range;
    if (!ParseNumber(ends.front(), range.first) || !ParseNumber(ends.back(), range.last)) {
      return absl::InvalidArgumentError(
          absl::StrCat(option, ": '", part, "' is neither a number nor a range such as 10-20"));
    }
    if (range.last < range.first) {
      return absl::InvalidArgumentError(absl::StrCat(option, ": range '", part, "' ends before it begins"));
    }
    ranges.push_back(range);
  }
  return ranges;
}

absl::StatusOr<std::vector<int64_t>> ParseNumbers(const std::string& option, const std::string& text, int64_t largest) {
  const absl::StatusOr<std::vector<NumberRange>> ranges = ParseRanges(option, text);
  if (!ranges.ok()) return ranges.status();
  std::vector<int64_t> numbers;
  for (const NumberRange& range : *ranges) {
    if (range.last > largest) {
      return absl::InvalidArgumentError(absl::StrCat(option, ": ", range.last, " is over ", largest));
    }
    if (range.last - range.first >= kMaxCount - static_cast<int64_t>(numbers.size())) {
      return absl::InvalidArgumentError(absl::StrCat(option, ": more than ", kMaxCount, " numbers"));
    }
    for (int64_t number = range.first; number <= range.last; ++number) numbers.push_back(number);
  }
  return numbers;
}

absl::StatusOr<std::vector<int32_t>> ParseIndices(const std::string& option, const std::string& text) {
  const auto numbers = ParseNumbers(option, text, std::numeric_limits<int32_t>::max());
  if (!numbers.ok()) return numbers.status();
  return std::vector<int32_t>(numbers->begin(), numbers->end());
}

}  // namespace lifescope
