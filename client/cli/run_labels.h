// What the parts of a run are called in output.
#pragma once

#include <string>
#include <vector>

#include "lifescope/v1/run.pb.h"
#include "lifescope/v1/run_service.pb.h"

namespace lifescope {

// One per read: its name, or "read<i>". A name that occurs twice gets ".<i>" behind.
std::vector<std::string> ReadLabels(const v1::Run& run);
// One per intervention: its name, or "intervention<i>"; unique, and never "clean".
std::vector<std::string> InterventionLabels(const v1::Run& run);

// "features 12, 40", "head 1.3", "neurons 1:4, 5", "blocks.1.hook_resid_post"; "nothing" where no target is set.
std::string DescribeTarget(const v1::PatchTarget& target);

// "encode", "ablate", "patch", "run".
std::string DescribeKind(v1::RunKind kind);

}  // namespace lifescope
