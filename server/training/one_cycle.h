// The one-cycle schedule (Smith & Topin 2019) with cosine annealing, as PyTorch's OneCycleLR computes it: the learning
// rate rises, then falls far below its start, while Adam's beta1 goes the other way.
#pragma once

#include <cstdint>

namespace lifescope {

struct OneCycleOptions {
  int64_t total_steps = 0;
  double max_learning_rate = 0;
  // Share of the steps in which the rate rises.
  double rising_share = 0.05;
  // The rate starts at max / div_factor and ends at max / div_factor / final_div_factor.
  double div_factor = 30;
  double final_div_factor = 1e4;
  // beta1 at both ends and at the peak.
  double max_beta1 = 0.9;
  double min_beta1 = 0.85;
};

struct OneCyclePoint {
  double learning_rate = 0;
  double beta1 = 0;
};

// For the optimiser step number `step`, from 0 to total_steps - 1.
OneCyclePoint OneCycle(const OneCycleOptions& options, int64_t step);

}  // namespace lifescope
