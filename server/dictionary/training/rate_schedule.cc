#include "server/dictionary/training/rate_schedule.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

namespace lifescope {
namespace {

constexpr double kPi = 3.14159265358979323846;

}  // namespace

void CheckSchedule(const RateSchedule& s) {
  TORCH_CHECK_VALUE(std::isfinite(s.peak) && s.peak > 0, "learning rate is ", s.peak, ", expected above 0");
  TORCH_CHECK_VALUE(s.warmup_steps >= 0, "warmup_steps is ", s.warmup_steps, ", expected 0 or more");
  TORCH_CHECK_VALUE(s.warmup_from >= 0 && s.warmup_from <= 1, "warmup_from is ", s.warmup_from, ", expected 0 to 1");
  TORCH_CHECK_VALUE(s.decay_start == -1 || (s.decay_start >= s.warmup_steps && s.decay_start < s.total_steps),
                    "decay_start is ", s.decay_start, ", expected -1 or warmup_steps, ", s.warmup_steps,
                    ", to below total_steps, ", s.total_steps);
}

double RateAt(const RateSchedule& s, int64_t step) {
  if (step < s.warmup_steps) {
    const double way = static_cast<double>(step) / static_cast<double>(s.warmup_steps);
    const double risen = s.warmup == RateSchedule::Warmup::kCosine ? (1 - std::cos(kPi * way)) / 2 : way;
    return s.peak * (s.warmup_from + (1 - s.warmup_from) * risen);
  }
  if (s.decay_start < 0 || step < s.decay_start) return s.peak;
  const double left = static_cast<double>(std::max<int64_t>(s.total_steps - step, 0));
  return s.peak * left / static_cast<double>(s.total_steps - s.decay_start);
}

double SparsityScaleAt(int64_t warmup_steps, int64_t step) {
  return warmup_steps > 0 ? std::min(static_cast<double>(step) / static_cast<double>(warmup_steps), 1.0) : 1.0;
}

}  // namespace lifescope
