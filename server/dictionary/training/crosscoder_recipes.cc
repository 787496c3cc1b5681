#include "server/dictionary/training/crosscoder_recipes.h"

namespace lifescope {

CrosscoderRecipe ModelDiffCrosscoder(const std::vector<int64_t>& site_widths, int64_t feature_count,
                                     int64_t total_steps) {
  CrosscoderRecipe recipe;
  recipe.objective.site_widths = site_widths;
  recipe.objective.feature_count = feature_count;
  recipe.loop.schedule.peak = 5e-5;
  recipe.loop.schedule.decay_start = total_steps * 4 / 5;
  recipe.loop.schedule.total_steps = total_steps;
  recipe.loop.gradient_clip = 1;
  recipe.loop.sparsity_warmup_steps = total_steps / 20;
  return recipe;
}

}  // namespace lifescope
