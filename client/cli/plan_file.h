// Plan files: a run written by hand or by a script.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "lifescope/v1/run_service.pb.h"

namespace lifescope {

// Reads the JSON form of lifescope.v1.RunRequest or, without its "run", of lifescope.v1.Run. INVALID_ARGUMENT names the
// file, the field that is unknown or of a wrong type, and its path. Names and numbers are the server's to check.
absl::StatusOr<v1::RunRequest> ReadPlanFile(const std::string& path);

}  // namespace lifescope
