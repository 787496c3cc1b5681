// Settings of crosscoder trainings as published.
#pragma once

#include <cstdint>
#include <vector>

#include "server/dictionary/training/crosscoder_objective.h"
#include "server/dictionary/training/sae_trainer.h"

namespace lifescope {

struct CrosscoderRecipe {
  CrosscoderOptions objective;
  SaeTrainerOptions loop;
};

// ckkissane/crosscoder-model-diff-replication, two models. The rows of each site have a mean norm of the square root of
// its width; batches have 4096 rows. The sparsity rises over the first 5 % of `total_steps`, the learning rate falls
// over the last 20 %.
CrosscoderRecipe ModelDiffCrosscoder(const std::vector<int64_t>& site_widths, int64_t feature_count,
                                     int64_t total_steps);

}  // namespace lifescope
