// Paths of request fields in error messages: "run.documents[0].life.events[1].tokens[2]: <what is wrong>".
#pragma once

#include <cstddef>
#include <functional>
#include <regex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/app/engine_status.h"

namespace lifescope {

// "run" and "documents" -> "run.documents"; an empty field gives the name alone.
std::string Child(const std::string& field, const std::string& name);
// "run", "documents", 2 -> "run.documents[2]".
std::string Element(const std::string& field, const std::string& name, size_t index);

// INVALID_ARGUMENT "<field>: <message>".
absl::Status InvalidField(const std::string& field, const std::string& message);

// What a registry lookup or a parser of the engine throws, with the field before its message.
template <typename Body>
absl::Status CatchInField(const std::string& field, Body&& body) {
  const absl::Status status = CatchEngineErrors([&] {
    body();
    return absl::OkStatus();
  });
  return status.ok() ? status : absl::Status(status.code(), field + ": " + std::string(status.message()));
}

// How paths of the run that a convenience call made read in the caller's own request.
struct RunPaths {
  struct Rule {
    std::regex pattern;
    std::string replacement;
  };
  // The first rule whose pattern matches the start of a path ("run.reads[0].positions...") replaces that part.
  std::vector<Rule> rules;
  // The caller's names of the run's documents, where they have names of their own: "clean", "corrupted".
  std::vector<std::string> documents;
};

// Rewrites the path at the start of the message (the text before the first ": "), after putting "run." before a path of
// the engine, and the documents named in the rest. A message that starts with no path of a run stays as it is.
absl::Status RenamePaths(const absl::Status& status, const RunPaths& paths);

}  // namespace lifescope
