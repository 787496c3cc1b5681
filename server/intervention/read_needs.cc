#include "server/intervention/read_needs.h"

#include <algorithm>

#include "server/intervention/attention_read.h"
#include "server/intervention/direct_logit.h"
#include "server/intervention/target.h"

namespace lifescope {
namespace {

struct NeedsFinder {
  const Run& run;
  const Hyperparameters& hyperparameters;

  const HookPoint& PointOf(int64_t dictionary) const { return run.dictionaries[dictionary].hook_point; }

  ReadNeeds operator()(const ActivationRead& read) const { return {{read.hook_point}, false, false}; }
  ReadNeeds operator()(const FeatureRead& read) const { return {{PointOf(read.dictionary)}, false, false}; }
  ReadNeeds operator()(const KlToCleanRead&) const { return {{}, true, true}; }
  ReadNeeds operator()(const LogitLensRead& read) const { return {{read.hook_point}, false, false}; }
  ReadNeeds operator()(const DirectLogitRead& read) const {
    return {DirectLogitPoints(read, hyperparameters), true, false};
  }
  ReadNeeds operator()(const AttentionRead& read) const {
    return {AttentionPoints(read, hyperparameters), false, false};
  }
  ReadNeeds operator()(const ShiftRead& read) const { return {{read.hook_point}, false, true}; }
  ReadNeeds operator()(const FeatureChangeRead& read) const { return {{PointOf(read.dictionary)}, false, true}; }
  ReadNeeds operator()(const ReconstructionErrorRead& read) const { return {{PointOf(read.dictionary)}, false, true}; }
  // Heads on the final residual stream.
  template <typename Head>
  ReadNeeds operator()(const Head&) const {
    return {{}, true, false};
  }
};

}  // namespace

ReadNeeds NeedsOf(const Run& run, const ReadKind& kind, const Hyperparameters& hyperparameters) {
  return std::visit(NeedsFinder{run, hyperparameters}, kind);
}

int64_t LayersThrough(const HookPoint& point, int64_t n_encoders) {
  return point.head.empty() ? point.layer + 1 : n_encoders;
}

int64_t LayersForReads(const Run& run, int64_t document, const Hyperparameters& hyperparameters) {
  const int64_t n_encoders = hyperparameters.n_encoders;
  int64_t layers = -1;
  for (const Read& read : run.reads) {
    if (!Covers(read.documents, document)) continue;
    const ReadNeeds needs = NeedsOf(run, read.kind, hyperparameters);
    if (needs.final) layers = n_encoders;
    for (const HookPoint& point : needs.points) layers = std::max(layers, LayersThrough(point, n_encoders));
  }
  return layers;
}

std::vector<HookPoint> PointsForReads(const Run& run, int64_t document, const Hyperparameters& hyperparameters) {
  std::vector<HookPoint> points;
  for (const Read& read : run.reads) {
    if (!Covers(read.documents, document)) continue;
    const ReadNeeds needs = NeedsOf(run, read.kind, hyperparameters);
    points.insert(points.end(), needs.points.begin(), needs.points.end());
  }
  return points;
}

}  // namespace lifescope
