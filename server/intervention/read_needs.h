// What reads take from the passes of a document.
#pragma once

#include <cstdint>
#include <vector>

#include "server/intervention/run.h"
#include "server/model/hyperparameters.h"

namespace lifescope {

struct ReadNeeds {
  // Activations of every pass.
  std::vector<HookPoint> points;
  // The residual stream after the last layer, and so all the layers.
  bool final = false;
  // Both of the clean run too, to compare an edited pass with.
  bool clean = false;
};
ReadNeeds NeedsOf(const Run& run, const ReadKind& kind, const Hyperparameters& hyperparameters);

// Layers that must run so that a hook point is passed.
int64_t LayersThrough(const HookPoint& point, int64_t n_encoders);
// Layers that the document's reads need, or -1 when no read covers it.
int64_t LayersForReads(const Run& run, int64_t document, const Hyperparameters& hyperparameters);
// Hook points that the document's reads need.
std::vector<HookPoint> PointsForReads(const Run& run, int64_t document, const Hyperparameters& hyperparameters);

}  // namespace lifescope
