// Several dictionaries trained on one stream of activations, with a checkpoint from which all of them go on to the bit.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/dictionary/training/sae_trainer.h"
#include "server/training/activation_scale.h"
#include "server/training/activation_source.h"

namespace lifescope {

// What one dictionary reads and learns.
struct SaePlan {
  std::string name;
  std::shared_ptr<const Objective> objective;
  SaeTrainerOptions options;
  ActivationScale scale = ActivationScale::kUnitMeanSquare;
  // Indices into the source's sites: their columns, side by side, are the input and the target. A crosscoder has
  // several; a transcoder has other targets.
  std::vector<size_t> input_sites, target_sites;
};

struct SaeSessionOptions {
  int64_t batch_rows = 1024;
  // Rows that the source holds for shuffling: from them the scales are estimated, and from less than half of them
  // features are resampled.
  int64_t buffer_rows = 100'000;
};

// Where a dictionary was given up, because its training diverged.
struct SaeStop {
  int64_t step = 0;             // the first that could not be made, or be resampled after, from 1
  double last_finite_loss = 0;  // NaN when there was none
};

// Not thread-safe.
class SaeSession {
 public:
  // Estimates the scales. Throws c10::ValueError naming the plan whose widths are not those of its sites.
  SaeSession(std::shared_ptr<ActivationSource> source, std::vector<SaePlan> plans, const SaeSessionOptions& options);

  // One step of every dictionary on the same rows; one result per plan. A dictionary whose training diverges
  // (DivergedError) is stopped for good, with its weights as they were before, or as they are where they cannot be
  // resampled; it has no result from then on, and the others learn as they would without it. Other c10::ValueErrors of
  // a dictionary name it.
  std::vector<std::optional<SaeStep>> Step();
  int64_t step_count() const { return step_; }
  const std::optional<SaeStop>& stop(size_t plan) const { return running_[plan].stop; }
  bool all_stopped() const;

  // The dictionary as it is now, for raw activations: the scale is folded in. Its features are in units of the raw
  // activations where they are of the rows'.
  DictionaryWeights Export(size_t plan) const;
  // Of each input and target site.
  struct Scales {
    std::vector<double> input, target;
  };
  const Scales& scales(size_t plan) const { return running_[plan].scales; }

  // Trainers, source, scales and who is stopped, all to the bit.
  SavedState State() const;
  void Restore(const SavedState& state);

 private:
  struct Running {
    SaePlan plan;
    Scales scales;
    SaeTrainer trainer;
    double last_loss = std::numeric_limits<double>::quiet_NaN();
    std::optional<SaeStop> stop = {};
  };
  void EstimateScales(Running& running, const at::Tensor& rows) const;
  // What the plan's dictionary reads and is to reconstruct of rows of the source.
  TrainingRows RowsOf(const Running& running, const at::Tensor& rows) const;
  at::Tensor Columns(ActivationScale scale, const at::Tensor& rows, const std::vector<size_t>& sites,
                     const std::vector<double>& scales) const;
  // Lets dead features of one that wants it begin anew; returns how many did.
  int64_t Resample(Running& running, const at::Tensor& batch);

  std::shared_ptr<ActivationSource> source_;
  SaeSessionOptions options_;
  std::vector<int64_t> first_column_;  // of each site
  std::vector<Running> running_;
  int64_t step_ = 0;
};

}  // namespace lifescope
