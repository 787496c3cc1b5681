#include "server/app/field_path.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace lifescope {
namespace {

// Top-level fields of a run, as the engine names them.
bool IsEnginePath(const std::string& path) {
  static const std::regex kPattern("^(documents|dictionaries|interventions|reads|n_slots)\\b");
  return std::regex_search(path, kPattern);
}

}  // namespace

std::string Child(const std::string& field, const std::string& name) {
  return field.empty() ? name : absl::StrCat(field, ".", name);
}

std::string Element(const std::string& field, const std::string& name, size_t index) {
  return absl::StrCat(Child(field, name), "[", index, "]");
}

absl::Status InvalidField(const std::string& field, const std::string& message) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", message));
}

absl::Status RenamePaths(const absl::Status& status, const RunPaths& paths) {
  if (status.ok()) return status;
  const std::string message(status.message());
  const size_t end = message.find(": ");
  if (end == std::string::npos) return status;
  std::string path = message.substr(0, end), rest = message.substr(end);
  if (IsEnginePath(path)) path = "run." + path;
  if (path.rfind("run.", 0) != 0 && path != "run") return status;
  for (size_t i = 0; i < paths.documents.size(); ++i) {
    const std::string name = Element("", "documents", i);
    absl::StrReplaceAll({{name, paths.documents[i]}}, &rest);
    // "run.documents[0].person" -> "clean.person".
    if (path.rfind("run." + name, 0) == 0) path = paths.documents[i] + path.substr(4 + name.size());
  }
  for (const RunPaths::Rule& rule : paths.rules) {
    std::smatch match;
    if (!std::regex_search(path, match, rule.pattern, std::regex_constants::match_continuous)) continue;
    path = match.format(rule.replacement) + match.suffix().str();
    break;
  }
  return absl::Status(status.code(), path + rest);
}

}  // namespace lifescope
