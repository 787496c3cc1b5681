// The learning rate over a training (facts in units/schedules of the references), and the warm-up of coefficients.
#pragma once

#include <cstdint>

namespace lifescope {

struct RateSchedule {
  double peak = 1e-3;
  // A rise over so many steps, step / warmup_steps of the way, which starts at 0 (dictionary_learning) by default.
  int64_t warmup_steps = 0;
  // Step at which the rate starts to fall linearly to 0 at total_steps. -1: never.
  int64_t decay_start = -1;
  int64_t total_steps = 0;
  // The rise starts at this share of the peak, and is linear or half a cosine wave.
  double warmup_from = 0;
  enum class Warmup { kLinear, kCosine };
  Warmup warmup = Warmup::kLinear;
};

// Throws c10::ValueError naming the field that is out of range.
void CheckSchedule(const RateSchedule& schedule);

// The rate of optimiser step `step`, from 0.
double RateAt(const RateSchedule& schedule, int64_t step);

// min(step / warmup_steps, 1); 1 when there is no warm-up.
double SparsityScaleAt(int64_t warmup_steps, int64_t step);

}  // namespace lifescope
