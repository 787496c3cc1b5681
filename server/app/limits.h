// What one call may ask for, checked before compute.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "lifescope/v1/run.pb.h"
#include "server/app/app.h"
#include "server/app/plan.h"

namespace lifescope {

// INVALID_ARGUMENT when the run has more documents or forwards than the options allow. Paths start with "run".
absl::Status CheckRunSize(const v1::Run& run, const AppOptions& options);

// Bytes of the dense reads of the run, all documents and interventions together; features count by row alone, for how
// many are active is not known. Throws as ResolvePositions.
int64_t DenseReadBytes(const Plan& plan);

}  // namespace lifescope
