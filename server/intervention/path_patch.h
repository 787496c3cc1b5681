// Path patching through the additive residual stream: exact, as nothing lies between what a part writes and what a
// later one reads but sums (Wang et al. 2023; Goldowsky-Dill et al. 2023).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "server/intervention/clean_values.h"
#include "server/intervention/run.h"
#include "server/intervention/target.h"
#include "server/model/transformer.h"

namespace lifescope {

// Whether the hook point is the residual stream or what a sublayer reads of it.
bool IsStream(const HookPoint& point);
// Whether the target's value goes to the residual stream by a linear map.
bool WritesToStream(const Run& run, const EditTarget& target);
// Whether `sender` is passed before `receiver`.
bool ComesBefore(const HookPoint& sender, const HookPoint& receiver);

// What the sender writes in the donor's run less what it writes in the document's clean run, at the pairs of positions:
// [positions, hidden].
at::Tensor WriteDifference(const Run& run, const PathFrom& path, int64_t document, const PairedPositions& pairs,
                           const Transformer& model, const CleanValues& clean);

}  // namespace lifescope
