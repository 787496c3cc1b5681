#include "server/evaluation/feature_lobes.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <limits>

#include "server/evaluation/clustering.h"
#include "server/evaluation/cooccurrence.h"
#include "server/evaluation/direction_geometry.h"

namespace lifescope {
namespace {

// In how many chunks each feature occurs.
std::vector<int64_t> CountChunks(const SparseActivations& codes, const std::vector<int64_t>& chunk_offsets) {
  std::vector<int64_t> chunks(codes.feature_count, 0), last(codes.feature_count, -1);
  const at::Tensor features = codes.features.contiguous(), offsets = codes.row_offsets.contiguous();
  const at::Tensor values = codes.values.to(at::kDouble).contiguous();
  const int64_t* offset = offsets.data_ptr<int64_t>();
  for (int64_t chunk = 0; chunk + 1 < static_cast<int64_t>(chunk_offsets.size()); ++chunk) {
    for (int64_t i = offset[chunk_offsets[chunk]]; i < offset[chunk_offsets[chunk + 1]]; ++i) {
      const int32_t feature = features.data_ptr<int32_t>()[i];
      if (values.data_ptr<double>()[i] <= 0 || last[feature] == chunk) continue;
      last[feature] = chunk;
      ++chunks[feature];
    }
  }
  return chunks;
}

std::vector<int64_t> ChooseFeatures(const std::vector<int64_t>& chunks, int64_t chunk_count,
                                    const FeatureLobeOptions& options) {
  std::vector<int64_t> features;
  for (size_t i = 0; i < chunks.size(); ++i) {
    if (chunks[i] >= options.min_chunks && chunks[i] < chunk_count) features.push_back(static_cast<int64_t>(i));
  }
  if (static_cast<int64_t>(features.size()) > options.max_features) {
    std::stable_sort(features.begin(), features.end(), [&](int64_t a, int64_t b) { return chunks[a] > chunks[b]; });
    features.resize(options.max_features);
    std::sort(features.begin(), features.end());
  }
  return features;
}

// The chosen features alone, renumbered.
SparseActivations SelectFeatures(const SparseActivations& codes, const std::vector<int64_t>& chosen) {
  at::Tensor number = at::full({codes.feature_count}, -1, at::kInt);
  for (size_t i = 0; i < chosen.size(); ++i) number.data_ptr<int32_t>()[chosen[i]] = static_cast<int32_t>(i);
  const at::Tensor renumbered = number.index_select(0, codes.features);
  const at::Tensor is_kept = renumbered >= 0;
  const at::Tensor before = at::cat({at::zeros({1}, at::kLong), is_kept.to(at::kLong).cumsum(0)});
  return {before.index_select(0, codes.row_offsets), renumbered.masked_select(is_kept),
          codes.values.masked_select(is_kept), static_cast<int64_t>(chosen.size())};
}

}  // namespace

FeatureLobes FindLobes(const SparseActivations& codes, const std::vector<int64_t>& chunk_offsets,
                       const at::Tensor& directions, const FeatureLobeOptions& options) {
  TORCH_CHECK_VALUE(directions.dim() == 2 && directions.size(0) == codes.feature_count,
                    "directions: ", directions.sizes(), ", expected [", codes.feature_count, ", d] as the codes");
  CheckChunks(codes, chunk_offsets);
  FeatureLobes lobes;
  lobes.features =
      ChooseFeatures(CountChunks(codes, chunk_offsets), static_cast<int64_t>(chunk_offsets.size()) - 1, options);
  if (static_cast<int64_t>(lobes.features.size()) < options.clusters) {
    lobes.mutual_information = std::numeric_limits<double>::quiet_NaN();
    return lobes;
  }
  const Cooccurrences counts = CountCooccurrences(SelectFeatures(codes, lobes.features), chunk_offsets);
  const at::Tensor rows = directions.index_select(0, at::tensor(lobes.features, at::kLong));
  lobes.by_cooccurrence = SpectralClusters(PhiAffinity(counts) + 1, options.clusters, options.seed);
  lobes.by_direction = SpectralClusters(AngularSimilarity(rows), options.clusters, options.seed);
  lobes.mutual_information = AdjustedMutualInformation(lobes.by_cooccurrence, lobes.by_direction);
  return lobes;
}

}  // namespace lifescope
