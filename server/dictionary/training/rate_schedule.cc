#include "server/dictionary/training/rate_schedule.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

namespace lifescope {
namespace {

const double kPi = std::acos(-1.0);

// Falls from 1 at progress 0 to 0 at progress 1.
double HalfCosine(double progress) { return 0.5 * (1 + std::cos(kPi * progress)); }

double Ratio(int64_t part, int64_t whole) { return static_cast<double>(part) / static_cast<double>(whole); }

// How far the rise is.
double WarmupShare(const RateSchedule& s, int64_t step) {
  switch (s.warmup) {
    case RateSchedule::Warmup::kLinear:
      return Ratio(step, s.warmup_steps);
    case RateSchedule::Warmup::kCosine:
      return 1 - HalfCosine(Ratio(step, s.warmup_steps));
    case RateSchedule::Warmup::kLinearFromFirst:
      break;
  }
  return Ratio(step + 1, s.warmup_steps);
}

bool Decays(const RateSchedule& s) { return s.decay_start >= 0; }

// Steps of one cycle of the cosine.
int64_t CycleSteps(const RateSchedule& s) {
  return ((Decays(s) ? s.decay_start : s.total_steps) - s.warmup_steps) / s.cycles;
}

}  // namespace

void CheckSchedule(const RateSchedule& s) {
  TORCH_CHECK_VALUE(std::isfinite(s.peak) && s.peak > 0, "learning rate is ", s.peak, ", expected above 0");
  TORCH_CHECK_VALUE(s.warmup_steps >= 0, "warmup_steps is ", s.warmup_steps, ", expected 0 or more");
  TORCH_CHECK_VALUE(s.decay_start == -1 || (s.decay_start >= s.warmup_steps && s.decay_start < s.total_steps),
                    "decay_start is ", s.decay_start, ", expected -1 or warmup_steps, ", s.warmup_steps,
                    ", to below total_steps, ", s.total_steps);
  TORCH_CHECK_VALUE(s.warmup_from >= 0 && s.warmup_from <= 1, "warmup_from is ", s.warmup_from, ", expected 0 to 1");
  TORCH_CHECK_VALUE(s.restart_every == 0 || s.restart_every > s.warmup_steps, "restart_every is ", s.restart_every,
                    ", expected 0 or above warmup_steps, ", s.warmup_steps);
  const bool is_cosine = s.course == RateSchedule::Course::kCosine;
  TORCH_CHECK_VALUE(s.restart_every == 0 || (!Decays(s) && !is_cosine), "restart_every is ", s.restart_every,
                    ", expected 0 with a decay or a cosine");
  if (!is_cosine) return;
  TORCH_CHECK_VALUE(s.cosine_end >= 0 && s.cosine_end <= s.peak, "cosine_end is ", s.cosine_end,
                    ", expected 0 to the learning rate, ", s.peak);
  TORCH_CHECK_VALUE(s.cycles >= 1 && CycleSteps(s) >= 1, "cycles is ", s.cycles,
                    ", expected 1 to the steps between warm-up and decay or total_steps, ", s.total_steps);
}

double RateAt(const RateSchedule& s, int64_t step) {
  if (s.restart_every > 0) step %= s.restart_every;
  if (step < s.warmup_steps) {
    return s.peak * (s.warmup_from + (1 - s.warmup_from) * WarmupShare(s, step));
  }
  const bool is_cosine = s.course == RateSchedule::Course::kCosine;
  if (Decays(s) && step >= s.decay_start) {
    const int64_t left = std::max<int64_t>(s.total_steps - step, 0);
    return (is_cosine ? s.cosine_end : s.peak) * Ratio(left, s.total_steps - s.decay_start);
  }
  if (!is_cosine) return s.peak;
  if (step >= s.total_steps) return s.cosine_end;
  const double share = HalfCosine(Ratio((step - s.warmup_steps) % CycleSteps(s), CycleSteps(s)));
  return s.cosine_end + (s.peak - s.cosine_end) * share;
}

double SparsityScaleAt(int64_t warmup_steps, int64_t step) {
  return warmup_steps > 0 ? std::min(static_cast<double>(step) / static_cast<double>(warmup_steps), 1.0) : 1.0;
}

}  // namespace lifescope
