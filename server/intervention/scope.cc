#include "server/intervention/scope.h"

#include <ATen/ATen.h>

namespace lifescope {
namespace {

// Inputs are frozen rather than outputs, so that an edit within a frozen sublayer has its effect.
std::vector<Site> FrozenSites(Scope scope) {
  switch (scope) {
    case Scope::kPropagate:
      return {};
    case Scope::kFreezePatterns:
      return {Site::kQ, Site::kK};
    case Scope::kFreezeAttention:
      return {Site::kAttnIn};
    case Scope::kDirect:
      return {Site::kAttnIn, Site::kMlpIn};
  }
  return {};
}

}  // namespace

std::vector<HookPoint> FrozenPoints(Scope scope, int64_t first, int64_t last) {
  std::vector<HookPoint> points;
  for (int64_t layer = first; layer < last; ++layer) {
    for (const Site site : FrozenSites(scope)) points.push_back({site, layer});
  }
  return points;
}

std::vector<PlacedChange> FreezePoints(const std::vector<HookPoint>& points, int64_t document,
                                       const CleanValues& clean) {
  std::vector<PlacedChange> changes;
  for (const HookPoint& point : points) {
    const at::Tensor value = clean.Rows(document, point);
    changes.push_back({point, [value](const at::Tensor& rows) { rows.copy_(value); }});
  }
  return changes;
}

}  // namespace lifescope
