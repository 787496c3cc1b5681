#include "server/evaluation/concept_reconstruction.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <map>

namespace lifescope {
namespace {

// What the active features of one row say, by slot: the levels, then the highest level of each feature.
class RowPredictions {
 public:
  explicit RowPredictions(const ConceptDetectors& detectors)
      : detectors_(detectors), predicted_(detectors.grid().level_count() + 1) {}

  void Clear() {
    for (std::vector<int32_t>& concepts : predicted_) concepts.clear();
  }

  void Add(int64_t feature, double activation) {
    bool is_highest = true;
    for (int64_t level = detectors_.grid().LevelOf(feature, activation); level >= 0; --level) {
      const std::vector<int32_t>& concepts = detectors_.At(feature, level);
      if (concepts.empty()) continue;
      Append(concepts, level);
      if (is_highest) Append(concepts, static_cast<int64_t>(predicted_.size()) - 1);
      is_highest = false;
    }
  }

  // Ascending, each once.
  const std::vector<int32_t>& Predicted(size_t slot) {
    std::vector<int32_t>& concepts = predicted_[slot];
    std::sort(concepts.begin(), concepts.end());
    concepts.erase(std::unique(concepts.begin(), concepts.end()), concepts.end());
    return concepts;
  }

 private:
  void Append(const std::vector<int32_t>& concepts, int64_t slot) {
    predicted_[slot].insert(predicted_[slot].end(), concepts.begin(), concepts.end());
  }

  const ConceptDetectors& detectors_;
  std::vector<std::vector<int32_t>> predicted_;
};

// `predicted` and `held` ascend.
Reconstruction Compare(const std::vector<int32_t>& predicted, const std::vector<int32_t>& held,
                       const std::vector<int64_t>& group) {
  Reconstruction all;
  std::map<int64_t, BinaryCounts> by_group;
  for (const int32_t c : predicted) {
    const bool is_right = std::binary_search(held.begin(), held.end(), c);
    const BinaryCounts answer{is_right, !is_right, 0, 0};
    all.predictions += answer;
    by_group[group[c]] += answer;
  }
  all.predictions.false_negatives = static_cast<int64_t>(held.size()) - all.predictions.true_positives;
  all.predictions.true_negatives = static_cast<int64_t>(group.size() - held.size()) - all.predictions.false_positives;
  for (const auto& [ignored, in_group] : by_group) {
    all.contradictions += in_group.true_positives == 1 && in_group.false_positives == 1;
  }
  return all;
}

}  // namespace

ConceptDetectors::ConceptDetectors(const ConceptCounts& counts, const DetectorOptions& options)
    : grid_(counts.grid()),
      concept_count_(counts.concept_count()),
      concepts_(grid_.feature_count() * grid_.level_count()) {
  for (int64_t feature = 0; feature < grid_.feature_count(); ++feature) {
    for (int64_t c = 0; c < concept_count_; ++c) {
      counts.VisitLevels(feature, c, [&](int64_t level, int64_t hits, int64_t fired) {
        if (hits < std::max<int64_t>(options.min_hits, 1)) return;
        if (static_cast<double>(hits) / static_cast<double>(fired) < options.precision) return;
        concepts_[feature * grid_.level_count() + level].push_back(static_cast<int32_t>(c));
      });
    }
  }
}

int64_t ConceptDetectors::CountAt(int64_t level) const {
  int64_t count = 0;
  for (int64_t feature = 0; feature < grid_.feature_count(); ++feature) {
    count += static_cast<int64_t>(At(feature, level).size());
  }
  return count;
}

double Reconstruction::F1PerGroup() const {
  BinaryCounts counts = predictions;
  counts.true_positives -= contradictions;
  return counts.F1();
}

Reconstruction& Reconstruction::operator+=(const Reconstruction& other) {
  predictions += other.predictions;
  contradictions += other.contradictions;
  return *this;
}

std::vector<Reconstruction> ReconstructConcepts(const ConceptDetectors& detectors, const SparseActivations& codes,
                                                const HeldConcepts& concepts, const std::vector<int64_t>& group) {
  TORCH_CHECK_VALUE(codes.rows() == concepts.rows(), "codes: ", codes.rows(), " rows, expected ", concepts.rows(),
                    " as the concepts");
  TORCH_CHECK_VALUE(codes.feature_count == detectors.grid().feature_count(), "codes: ", codes.feature_count,
                    " features, expected ", detectors.grid().feature_count());
  TORCH_CHECK_VALUE(concepts.concept_count == detectors.concept_count() &&
                        static_cast<int64_t>(group.size()) == detectors.concept_count(),
                    "concepts: ", concepts.concept_count, " in ", group.size(), " groups, expected ",
                    detectors.concept_count());
  const at::Tensor values = codes.values.to(at::kDouble).contiguous();
  const at::Tensor features = codes.features.contiguous();
  const at::Tensor offsets = codes.row_offsets.contiguous();
  std::vector<Reconstruction> total(detectors.grid().level_count() + 1);
  RowPredictions row_predictions(detectors);
  std::vector<int32_t> held;
  for (int64_t row = 0; row < codes.rows(); ++row) {
    row_predictions.Clear();
    for (int64_t i = offsets.data_ptr<int64_t>()[row]; i < offsets.data_ptr<int64_t>()[row + 1]; ++i) {
      row_predictions.Add(features.data_ptr<int32_t>()[i], values.data_ptr<double>()[i]);
    }
    held.assign(concepts.concepts.begin() + concepts.row_offsets[row],
                concepts.concepts.begin() + concepts.row_offsets[row + 1]);
    std::sort(held.begin(), held.end());
    for (size_t slot = 0; slot < total.size(); ++slot) {
      total[slot] += Compare(row_predictions.Predicted(slot), held, group);
    }
  }
  return total;
}

}  // namespace lifescope
