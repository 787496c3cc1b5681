// The training loop of every dictionary: schedule, gradient, decoder constraint, clipping, optimiser, counters.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "server/dictionary/training/decoder_constraint.h"
#include "server/dictionary/training/objective.h"
#include "server/dictionary/training/rate_schedule.h"
#include "server/dictionary/training/resampling.h"
#include "server/optimizer/adam.h"

namespace lifescope {

struct SaeTrainerOptions {
  enum class Optimiser { kAdam, kSignDescent };

  RateSchedule schedule;
  Optimiser optimiser = Optimiser::kAdam;
  // Its learning_rate is not read: the schedule gives it.
  AdamOptions adam;
  // Decay of a running mean of the weights, to which every step adds them before it changes them (OpenAI). 0: none.
  double average_decay = 0;
  // Over all gradients together, after projection. 0: none.
  double gradient_clip = 0;
  DecoderConstraint constraint;
  // Steps over which the sparsity coefficient rises linearly from 0.
  int64_t sparsity_warmup_steps = 0;
  // Needs kEncoder, kEncoderBias and kDecoder among the parameters, and an objective that counts firing.
  std::optional<Resampling> resampling;
  // Of the encoder's product, the one product of whole matrices in a step. kBfloat16 wants dtype kFloat and kEncoder
  // and kDecoder among the parameters (where they are tied the decoder would be rounded too): the step is that of the
  // rounded encoder, while parameters, moments and all other sums are float32.
  Matmul matmul = Matmul::kFull;
  uint64_t seed = 0;
  at::ScalarType dtype = at::kFloat;
};

// What one step did.
struct SaeStep {
  double loss = 0;
  std::map<std::string, double> terms;
  double fvu = 0;  // squared error / squared deviation from the batch mean; not finite for equal rows
  double l0 = 0;   // mean active features per row
  int64_t dead_feature_count = 0;
  int64_t resampled_feature_count = 0;  // after the update
};

// A training that cannot go on: the loss of a step, a gradient, or what resampling needs is not finite.
class DivergedError : public c10::ValueError {
 public:
  using ValueError::ValueError;
};

// Not thread-safe. Deterministic: the same options and batches give the same weights on the same build and thread
// count; a restored trainer goes on to the bit.
class SaeTrainer {
 public:
  // Throws c10::ValueError naming the option that is out of range.
  SaeTrainer(std::shared_ptr<const Objective> objective, const SaeTrainerOptions& options);

  // One optimiser step. Throws, and changes nothing: c10::ValueError when a shape is wrong, DivergedError when the loss
  // or a gradient is not finite. After its update it may throw as Resample does.
  SaeStep Step(const TrainingRows& rows);
  int64_t step_count() const { return step_; }

  // Lets the features that are dead begin anew at badly reconstructed rows of these, and returns how many did; Step
  // does so with its own rows where Resampling says so. Throws, and changes nothing: c10::ValueError without the option
  // or for a wrong shape, DivergedError when a weight or the error of a row is not finite.
  int64_t Resample(const TrainingRows& candidates);
  // Whether Resample is to be called now, after a step, with Resampling::rows rows or as many as there are.
  bool WantsResampling() const;

  // Everything that is needed to go on, as copies: parameters under their names, "<name>.first_moment",
  // "<name>.second_moment" and "<name>.step" of Adam, "<name>.average", "state.<name>" of the objective, and "step".
  std::map<std::string, at::Tensor> State() const;
  // Takes over a State; other names are ignored. Throws c10::ValueError, and changes nothing, on a missing tensor or
  // one of another shape.
  void Restore(const std::map<std::string, at::Tensor>& state);

  const Parameters& parameters() const { return parameters_; }
  // Their running mean, corrected for its start at 0. Throws c10::ValueError without average_decay or before a step.
  Parameters AverageParameters() const;
  const ObjectiveState& state() const { return state_; }

 private:
  TrainingRows Checked(const TrainingRows& rows) const;
  void Update(Parameters gradients);

  std::shared_ptr<const Objective> objective_;
  SaeTrainerOptions options_;
  int64_t step_ = 0;
  Parameters parameters_;
  std::map<std::string, AdamState> adam_;  // of every parameter, from the start, when it is the optimiser
  Parameters averages_;                    // not corrected; empty without average_decay
  ObjectiveState state_;
};

}  // namespace lifescope
