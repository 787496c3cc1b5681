// Structured log lines on standard error: one line per event, "time level event key=value ...".
#pragma once

#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace lifescope {

enum class LogLevel { kInfo, kWarning, kError };

// Thread-safe: a line is written whole. Values with spaces or quotes are quoted.
void Log(LogLevel level, absl::string_view event,
         std::initializer_list<std::pair<absl::string_view, std::string>> fields = {});

}  // namespace lifescope
