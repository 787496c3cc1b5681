#include "server/evaluation/concept_counts.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <utility>

namespace lifescope {

HeldConcepts ToHeldConcepts(const at::Tensor& holds) {
  TORCH_CHECK_VALUE(holds.dim() == 2 && holds.scalar_type() == at::kBool, "concepts: ", holds.scalar_type(), " ",
                    holds.sizes(), ", expected BOOL [rows, concepts]");
  const at::Tensor dense = holds.to(at::kCPU).contiguous();
  const bool* value = dense.data_ptr<bool>();
  HeldConcepts held;
  held.concept_count = dense.size(1);
  for (int64_t row = 0; row < dense.size(0); ++row) {
    for (int64_t c = 0; c < held.concept_count; ++c) {
      if (*value++) held.concepts.push_back(static_cast<int32_t>(c));
    }
    held.row_offsets.push_back(static_cast<int64_t>(held.concepts.size()));
  }
  return held;
}

std::vector<double> TenthsBelowOne() { return {0, .1, .2, .3, .4, .5, .6, .7, .8, .9}; }

at::Tensor MaxActivations(const SparseActivations& codes) {
  at::Tensor maxima = at::zeros({codes.feature_count}, at::kDouble);
  double* maximum = maxima.data_ptr<double>();
  const at::Tensor values = codes.values.to(at::kDouble).contiguous();
  const at::Tensor features = codes.features.contiguous();
  const double* value = values.data_ptr<double>();
  const int32_t* feature = features.data_ptr<int32_t>();
  for (int64_t i = 0; i < values.numel(); ++i) maximum[feature[i]] = std::max(maximum[feature[i]], value[i]);
  return maxima;
}

ThresholdGrid::ThresholdGrid(const at::Tensor& maxima, std::vector<double> fractions)
    : fractions_(std::move(fractions)) {
  TORCH_CHECK_VALUE(!fractions_.empty() && std::is_sorted(fractions_.begin(), fractions_.end()),
                    "fractions: ", fractions_.size(), ", expected at least one, ascending");
  const at::Tensor values = maxima.to(at::kDouble).contiguous();
  maxima_.assign(values.data_ptr<double>(), values.data_ptr<double>() + values.numel());
}

int64_t ThresholdGrid::LevelOf(int64_t feature, double activation) const {
  int64_t level = level_count() - 1;
  while (level >= 0 && !(activation > Threshold(feature, level))) --level;
  return level;
}

ConceptCounts::ConceptCounts(ThresholdGrid grid, int64_t concept_count)
    : grid_(std::move(grid)),
      holds_(concept_count, 0),
      fired_(grid_.feature_count() * grid_.level_count(), 0),
      hits_(grid_.feature_count() * concept_count * grid_.level_count(), 0) {}

void ConceptCounts::Add(const SparseActivations& codes, const HeldConcepts& concepts) {
  TORCH_CHECK_VALUE(codes.rows() == concepts.rows(), "codes: ", codes.rows(), " rows, expected ", concepts.rows(),
                    " as the concepts");
  TORCH_CHECK_VALUE(codes.feature_count == grid_.feature_count(), "codes: ", codes.feature_count,
                    " features, expected ", grid_.feature_count());
  TORCH_CHECK_VALUE(concepts.concept_count == concept_count(), "concepts: ", concepts.concept_count, ", expected ",
                    concept_count());
  const at::Tensor values = codes.values.to(at::kDouble).contiguous();
  const at::Tensor features = codes.features.contiguous();
  const at::Tensor offsets = codes.row_offsets.contiguous();
  const int64_t levels = grid_.level_count();
  for (int64_t row = 0; row < codes.rows(); ++row) {
    const int32_t* held = concepts.concepts.data() + concepts.row_offsets[row];
    const int32_t* held_end = concepts.concepts.data() + concepts.row_offsets[row + 1];
    for (const int32_t* c = held; c != held_end; ++c) ++holds_[*c];
    for (int64_t i = offsets.data_ptr<int64_t>()[row]; i < offsets.data_ptr<int64_t>()[row + 1]; ++i) {
      const int64_t feature = features.data_ptr<int32_t>()[i];
      const int64_t level = grid_.LevelOf(feature, values.data_ptr<double>()[i]);
      if (level < 0) continue;
      ++fired_[feature * levels + level];
      int64_t* hits = hits_.data() + feature * concept_count() * levels + level;
      for (const int32_t* c = held; c != held_end; ++c) ++hits[*c * levels];
    }
  }
  rows_ += codes.rows();
}

double F1Of(int64_t hits, int64_t fired, int64_t positives) {
  return fired + positives == 0 ? 0 : 2.0 * static_cast<double>(hits) / static_cast<double>(fired + positives);
}

}  // namespace lifescope
