#include "server/app/log.h"

#include <unistd.h>

#include "absl/strings/escaping.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace lifescope {
namespace {

const char* NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "unknown";
}

// Bare where that is unambiguous; else in quotes, with quotes, backslashes and control characters escaped.
std::string Value(const std::string& value) {
  const bool bare = !value.empty() && value.find_first_of(" \"\\=\n\r\t") == std::string::npos;
  return bare ? value : absl::StrCat("\"", absl::Utf8SafeCEscape(value), "\"");
}

}  // namespace

void Log(LogLevel level, absl::string_view event,
         std::initializer_list<std::pair<absl::string_view, std::string>> fields) {
  std::string line = absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()), " ",
                                  NameOf(level), " ", event);
  for (const auto& [key, value] : fields) absl::StrAppend(&line, " ", key, "=", Value(value));
  line += '\n';
  // One call, so that lines of different threads do not mix; a lost log line must not fail a request.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace lifescope
