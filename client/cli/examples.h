// The strongest examples of a feature, which two verbs show.
#pragma once

#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "client/cli/session.h"
#include "lifescope/v1/feature_service.pb.h"

namespace lifescope {

struct ExamplesOptions {
  int32_t feature = 0;
  std::string dictionary;
  std::string index_id;
  int32_t count = 10;
  int32_t context_events = 1;
  bool no_text = false;
};

void DefineExamples(CLI::App& verb, ExamplesOptions& options);

// With text where the server gives it, without where it does not.
absl::StatusOr<v1::ListTopExamplesResponse> FetchExamples(Session& session, const ExamplesOptions& options);

}  // namespace lifescope
