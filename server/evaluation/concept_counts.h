// How often single features are on where boolean concepts hold: the counts behind coverage and reconstruction of known
// concepts (Karvonen et al. 2024, arXiv:2408.00113). A feature i is on at fraction t where its activation exceeds
// t x max_i, its maximum over the rows that thresholds are fitted on.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/dictionary/dictionary.h"

namespace lifescope {

// Which of some boolean concepts hold of each row, compressed: those of row r are
// concepts[row_offsets[r] .. row_offsets[r + 1]).
struct HeldConcepts {
  std::vector<int64_t> row_offsets{0};
  std::vector<int32_t> concepts;
  int64_t concept_count = 0;

  int64_t rows() const { return static_cast<int64_t>(row_offsets.size()) - 1; }
};

// From BOOL [rows, concepts]. Throws c10::ValueError when it is not of that form.
HeldConcepts ToHeldConcepts(const at::Tensor& holds);

// {0, .1, ..., .9}.
std::vector<double> TenthsBelowOne();

// Largest activation of each feature, at least 0: DOUBLE [features].
at::Tensor MaxActivations(const SparseActivations& codes);

// At which of the fractions a feature is on.
class ThresholdGrid {
 public:
  // `maxima` DOUBLE [features]; `fractions` ascend. Throws c10::ValueError when they do not, or there are none.
  ThresholdGrid(const at::Tensor& maxima, std::vector<double> fractions);

  int64_t feature_count() const { return static_cast<int64_t>(maxima_.size()); }
  int64_t level_count() const { return static_cast<int64_t>(fractions_.size()); }
  double fraction(int64_t level) const { return fractions_[level]; }
  // Activation above which the feature is on.
  double Threshold(int64_t feature, int64_t level) const { return fractions_[level] * maxima_[feature]; }
  // The highest level at which an activation is on; -1 where it is on at none.
  int64_t LevelOf(int64_t feature, double activation) const;

 private:
  std::vector<double> maxima_;
  std::vector<double> fractions_;
};

// Memory: 8 bytes per feature, concept and level. Not thread-safe.
class ConceptCounts {
 public:
  ConceptCounts(ThresholdGrid grid, int64_t concept_count);

  // Counts every row once: (active features of the row) x (concepts that hold of it) steps. Throws c10::ValueError when
  // the numbers of rows, features or concepts do not fit.
  void Add(const SparseActivations& codes, const HeldConcepts& concepts);

  const ThresholdGrid& grid() const { return grid_; }
  int64_t concept_count() const { return static_cast<int64_t>(holds_.size()); }
  int64_t rows() const { return rows_; }
  // Rows of which each concept holds.
  const std::vector<int64_t>& holds() const { return holds_; }
  // Rows where the feature is on, and those of them of which the concept holds, from the highest level downwards:
  // calls visit(level, hits, fired).
  template <typename Visit>
  void VisitLevels(int64_t feature, int64_t concept_index, Visit visit) const {
    const int64_t levels = grid_.level_count();
    const int64_t* fired = fired_.data() + feature * levels;
    const int64_t* hits = hits_.data() + (feature * concept_count() + concept_index) * levels;
    int64_t hits_above = 0, fired_above = 0;
    for (int64_t level = levels - 1; level >= 0; --level) {
      hits_above += hits[level];
      fired_above += fired[level];
      visit(level, hits_above, fired_above);
    }
  }

 private:
  ThresholdGrid grid_;
  std::vector<int64_t> holds_;  // [concepts]
  std::vector<int64_t> fired_;  // [features, levels]: by the highest level that the activation reaches
  std::vector<int64_t> hits_;   // [features, concepts, levels]: likewise
  int64_t rows_ = 0;
};

// 2 hits / (fired + positives); 0 where both are 0.
double F1Of(int64_t hits, int64_t fired, int64_t positives);

}  // namespace lifescope
