#include "storage/int64_list.h"

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace lifescope {

std::string FormatInt64List(const std::vector<int64_t>& values, char open, char close) {
  return absl::StrCat(std::string(1, open), absl::StrJoin(values, ","), std::string(1, close));
}

absl::StatusOr<std::vector<int64_t>> ParseInt64List(const std::string& text, char open, char close) {
  const absl::Status corrupt =
      absl::DataLossError(absl::StrCat("found \"", absl::CHexEscape(text.substr(0, 64)), "\", expected a list like ",
                                       FormatInt64List({1, 2}, open, close)));
  if (text.size() < 2 || text.front() != open || text.back() != close) return corrupt;
  std::vector<int64_t> values;
  if (text.size() == 2) return values;
  const std::string inside = text.substr(1, text.size() - 2);
  for (const auto& part : absl::StrSplit(inside, ',')) {
    if (!absl::SimpleAtoi(part, &values.emplace_back())) return corrupt;
  }
  return values;
}

}  // namespace lifescope
