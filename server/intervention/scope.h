// The scope of an intervention: what of a document's run stays as in its clean run.
#pragma once

#include <cstdint>
#include <vector>

#include "server/intervention/clean_values.h"
#include "server/intervention/edit.h"
#include "server/intervention/run.h"

namespace lifescope {

// Hook points that the scope freezes in the layers [first, last).
std::vector<HookPoint> FrozenPoints(Scope scope, int64_t first, int64_t last);

// Writes the document's clean values at every such point; they must be kept in `clean`. Every position is still there:
// ValidateRun refuses other document edits.
std::vector<PlacedChange> FreezePoints(const std::vector<HookPoint>& points, int64_t document,
                                       const CleanValues& clean);

}  // namespace lifescope
