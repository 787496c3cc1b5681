// The learning rate over a training, and the warm-up of coefficients: the schedules of dictionary_learning, SAELens,
// the crosscoder's reference and Gemma Scope.
#pragma once

#include <cstdint>

namespace lifescope {

struct RateSchedule {
  double peak = 1e-3;
  // Steps over which the rate rises to the peak.
  int64_t warmup_steps = 0;
  // Step at which the rate starts to fall linearly to 0 at total_steps, from the peak or, after a cosine, from
  // cosine_end. -1: never.
  int64_t decay_start = -1;
  int64_t total_steps = 0;

  // The rise starts at this share of the peak.
  double warmup_from = 0;
  enum class Warmup {
    kLinear,           // step / warmup_steps of the way: step 0 is at the start (dictionary_learning)
    kCosine,           // half a cosine wave (Gemma Scope: 1000 steps from 0.1)
    kLinearFromFirst,  // (step + 1) / warmup_steps of the way: the last step of it is at the peak (SAELens)
  };
  Warmup warmup = Warmup::kLinear;

  // Between warm-up and decay (or total_steps).
  enum class Course {
    kConstant,
    kCosine,  // falls to cosine_end in `cycles` equal half cosines, each from the peak (SAELens cosineannealing with 1,
              // cosineannealingwarmrestarts with more)
  };
  Course course = Course::kConstant;
  double cosine_end = 0;  // a rate
  int64_t cycles = 1;

  // Every so many steps the schedule begins anew with its warm-up, as when features are resampled; there is no decay
  // and no cosine then. 0: never.
  int64_t restart_every = 0;
};

// Throws c10::ValueError naming the field that is out of range.
void CheckSchedule(const RateSchedule& schedule);

// The rate of optimiser step `step`, from 0.
double RateAt(const RateSchedule& schedule, int64_t step);

// min(step / warmup_steps, 1); 1 when there is no warm-up.
double SparsityScaleAt(int64_t warmup_steps, int64_t step);

}  // namespace lifescope
