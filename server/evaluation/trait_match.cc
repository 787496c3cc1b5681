#include "server/evaluation/trait_match.h"

#include <algorithm>

#include "server/evaluation/trait_coverage.h"

namespace lifescope {

std::vector<TraitMatch> MatchTraits(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
                                    const TraitMatchOptions& options,
                                    const std::function<bool(int64_t done, int64_t total)>& on_progress) {
  TraitCoverageOptions coverage;
  coverage.match = options;
  coverage.bootstrap.resamples = 0;
  std::vector<TraitMatch> matches = CoverTraits(model, dictionary, corpus, coverage, on_progress).matches;
  std::stable_sort(matches.begin(), matches.end(),
                   [](const TraitMatch& a, const TraitMatch& b) { return a.f1 > b.f1; });
  return matches;
}

}  // namespace lifescope
