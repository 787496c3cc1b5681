// p-annealing (Karvonen et al. 2024, section 3; dictionary_learning's PAnnealTrainer): the exponent of the sparsity
// penalty falls from first_p to last_p in equal decrements, and at each the coefficient is scaled so that the
// penalty of the last batches would have stayed the same (equation 14).
#pragma once

#include <cstdint>
#include <optional>

#include "server/dictionary/training/objective.h"

namespace lifescope {

struct PAnnealing {
  // Values that p takes, first_p and last_p among them. 0: no annealing.
  int64_t updates = 0;
  // Steps after which p is set to the first and to the last of them; the others are evenly between, rounded down.
  int64_t start = 0;
  int64_t end = 0;
  double first_p = 1;
  double last_p = 0.2;
  // Batches whose penalties are averaged for the scaling.
  int64_t queue_length = 10;
};

// Throws c10::ValueError naming the field that is out of range.
void CheckPAnnealing(const PAnnealing& annealing);

// Adds what annealing keeps: "annealing.updates" INT64, "annealing.coefficient" float64, both scalars, and
// "annealing.queue" float64 [queue_length, 2], oldest first, unused rows -1.
void AddPAnnealing(const PAnnealing& annealing, double coefficient, ObjectiveState& state);

// What the penalty is now. A penalty with `next_p`, where there is one, is to be reported to AdvancePAnnealing as well.
struct AnnealedPenalty {
  double p = 1;
  double coefficient = 0;
  std::optional<double> next_p;
};
AnnealedPenalty CurrentPenalty(const PAnnealing& annealing, const ObjectiveState& state);

// After the batch of `step`, whose penalty was `penalty` with p and `next_penalty` with next_p (not read where there
// is none): writes the annealing's part of `next`.
void AdvancePAnnealing(const PAnnealing& annealing, int64_t step, double penalty, double next_penalty,
                       const ObjectiveState& state, ObjectiveState& next);

}  // namespace lifescope
