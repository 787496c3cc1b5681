#include "server/dictionary/training/firing.h"

#include <ATen/ATen.h>

namespace lifescope {

at::Tensor DeadFeatures(const DeadRule& rule, const at::Tensor& since_fired) {
  const int64_t least = rule.inclusive ? rule.after : rule.after + 1;
  return (since_fired >= least).nonzero().select(1, 0);
}

at::Tensor CountFiring(const DeadRule& rule, int64_t rows, const at::Tensor& fired, const ObjectiveState& state,
                       ObjectiveState& next) {
  const at::Tensor& before = state.at(kSinceFired);
  const at::Tensor counts = at::bincount(fired, /*weights=*/{}, before.numel());
  next[kFireCount] = state.at(kFireCount) + counts;
  const int64_t batch = rule.unit == DeadRule::Unit::kRows ? rows : 1;
  next[kSinceFired] = (before + batch).masked_fill(counts > 0, rule.counts_firing_batch ? batch : 0);
  return DeadFeatures(rule, rule.counts_batch_first ? next[kSinceFired] : before);
}

}  // namespace lifescope
