#include "server/training/one_cycle.h"

#include <cmath>

namespace lifescope {
namespace {

double Cosine(double from, double to, double share) { return to + (from - to) / 2 * (1 + std::cos(M_PI * share)); }

}  // namespace

OneCyclePoint OneCycle(const OneCycleOptions& options, int64_t step) {
  const double start = options.max_learning_rate / options.div_factor;
  const double end = start / options.final_div_factor;
  const double last = static_cast<double>(options.total_steps) - 1;
  // A run of a few steps has no rising phase.
  const double peak = options.rising_share * static_cast<double>(options.total_steps) - 1;
  const auto now = static_cast<double>(step);
  if (now <= peak && peak > 0) {
    const double share = now / peak;
    return {Cosine(start, options.max_learning_rate, share), Cosine(options.max_beta1, options.min_beta1, share)};
  }
  const double from = peak > 0 ? peak : 0;
  const double share = last > from ? (now - from) / (last - from) : 1;
  return {Cosine(options.max_learning_rate, end, share), Cosine(options.min_beta1, options.max_beta1, share)};
}

}  // namespace lifescope
