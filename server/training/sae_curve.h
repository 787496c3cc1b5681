// How a training of a dictionary went: its figures over the steps, thinned out to what a picture shows.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "server/dictionary/training/sae_trainer.h"
#include "server/training/saved_state.h"

namespace lifescope {

// Means over consecutive groups of steps, at most 500 groups. Not thread-safe.
class SaeCurve {
 public:
  explicit SaeCurve(int64_t total_steps);

  // `step` from 1. Every step has the same terms.
  void Add(int64_t step, const SaeStep& figures);
  // Means over the last complete group and what came after it: one batch says little about how many features fire. The
  // dead are those of the last step, the resampled those since the start.
  SaeStep Recent() const;

  // "step,loss,term_<name>...,fvu,l0,dead,resampled": a column for every term of the objective, in the order of names;
  // each line the means of a group that ends with that step, but for the dead, of that step, and the resampled, of all
  // its steps together.
  std::string ToCsv() const;
  // FVU over the steps.
  std::string ToSvg(const std::string& dictionary) const;

  SavedState State() const;
  void Restore(const SavedState& state);

 private:
  struct Point {
    double step = 0, count = 0, loss = 0, fvu = 0, l0 = 0, dead = 0, resampled = 0;  // sums, but for step and dead
    std::map<std::string, double> terms;                                             // sums, all points the same names
  };
  int64_t group_;
  std::vector<Point> points_;  // the last may be incomplete
};

}  // namespace lifescope
