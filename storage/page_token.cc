#include "storage/page_token.h"

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "storage/store.h"

namespace lifescope {
namespace {

constexpr char kVersion[] = "1";
constexpr size_t kShownBytes = 64;

}  // namespace

std::string EncodePageToken(const std::string& list, int64_t key) {
  return absl::WebSafeBase64Escape(absl::StrCat(kVersion, ":", key, ":", list));
}

absl::StatusOr<int64_t> DecodePageToken(const std::string& list, const std::string& token) {
  if (token.empty()) return kListStart;
  const std::string shown = absl::CHexEscape(token.substr(0, kShownBytes));
  const absl::Status garbage = absl::InvalidArgumentError(
      absl::StrCat("page_token: found \"", shown, "\", expected the unchanged next_page_token of an earlier page"));
  std::string text;
  if (!absl::WebSafeBase64Unescape(token, &text)) return garbage;
  const size_t first = text.find(':');
  const size_t second = first == std::string::npos ? first : text.find(':', first + 1);
  int64_t key = 0;
  if (second == std::string::npos || text.substr(0, first) != kVersion ||
      !absl::SimpleAtoi(text.substr(first + 1, second - first - 1), &key) || key < 0) {
    return garbage;
  }
  const std::string found = text.substr(second + 1);
  if (found != list) {
    return absl::InvalidArgumentError(absl::StrCat("page_token: found a token of the list \"",
                                                   absl::CHexEscape(found.substr(0, kShownBytes)),
                                                   "\", expected one of \"", absl::CHexEscape(list), "\""));
  }
  return key;
}

}  // namespace lifescope
