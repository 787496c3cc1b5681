#include "storage/postgres/connection_url.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lifescope {
namespace {

constexpr std::array<std::pair<const char*, const char*>, 8> kDefaults = {{
    {"connect_timeout", "5"},  // seconds
    {"keepalives", "1"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "15000"},  // milliseconds
    {"application_name", "lifescope"},
    {"client_encoding", "UTF8"},
}};

}  // namespace

std::string WithConnectionDefaults(const std::string& url) {
  std::string result = url;
  const size_t question = url.find('?');
  const std::string query = question == std::string::npos ? "" : url.substr(question + 1);
  char separator = question == std::string::npos ? '?' : '&';
  if (question != std::string::npos && query.empty()) separator = '\0';
  for (const auto& [key, value] : kDefaults) {
    if (absl::StrCat("&", query).find(absl::StrCat("&", key, "=")) != std::string::npos) continue;
    if (separator != '\0') result += separator;
    absl::StrAppend(&result, key, "=", value);
    separator = '&';
  }
  return result;
}

}  // namespace lifescope
