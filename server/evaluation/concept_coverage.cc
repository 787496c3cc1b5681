#include "server/evaluation/concept_coverage.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

namespace lifescope {
namespace {

// The best feature at each level.
std::vector<ConceptChoice> BestByLevel(const ConceptCounts& counts, int64_t concept_index) {
  std::vector<ConceptChoice> best(counts.grid().level_count());
  for (size_t level = 0; level < best.size(); ++level)
    best[level] = {concept_index, kNoFeature, static_cast<int64_t>(level), 0};
  const int64_t holds = counts.holds()[concept_index];
  for (int64_t feature = 0; feature < counts.grid().feature_count(); ++feature) {
    counts.VisitLevels(feature, concept_index, [&](int64_t level, int64_t hits, int64_t fired) {
      const double f1 = F1Of(hits, fired, holds);
      if (f1 > best[level].f1) best[level] = {concept_index, feature, level, f1};
    });
  }
  return best;
}

}  // namespace

ConceptChoice BestAtLevel(const ConceptCounts& counts, int64_t concept_index, int64_t level) {
  return BestByLevel(counts, concept_index)[level];
}

ConceptChoice BestAtAnyLevel(const ConceptCounts& counts, int64_t concept_index) {
  ConceptChoice best{concept_index, kNoFeature, 0, 0};
  for (const ConceptChoice& choice : BestByLevel(counts, concept_index)) {
    const bool is_better =
        choice.f1 > best.f1 || (choice.f1 == best.f1 && choice.f1 > 0 && choice.feature <= best.feature);
    if (is_better) best = choice;
  }
  return best;
}

Coverage MeasureCoverage(const ConceptCounts& counts) {
  const int64_t levels = counts.grid().level_count(), concepts = counts.concept_count();
  TORCH_CHECK_VALUE(concepts > 0, "concepts: none, expected at least one");
  Coverage coverage;
  coverage.best_f1 = at::empty({levels, concepts}, at::kDouble);
  for (int64_t c = 0; c < concepts; ++c) {
    for (const ConceptChoice& choice : BestByLevel(counts, c)) coverage.best_f1[choice.level][c] = choice.f1;
  }
  const at::Tensor means = coverage.best_f1.mean(1);
  coverage.mean_by_level.assign(means.data_ptr<double>(), means.data_ptr<double>() + levels);
  for (int64_t level = 0; level < levels; ++level) {
    if (coverage.mean_by_level[level] <= coverage.shared_threshold) continue;
    coverage.shared_threshold = coverage.mean_by_level[level];
    coverage.shared_level = level;
  }
  coverage.own_threshold = std::get<0>(coverage.best_f1.max(0)).mean().item<double>();
  return coverage;
}

}  // namespace lifescope
