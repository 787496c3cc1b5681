#include "server/dictionary/training/codebook_recipes.h"

namespace lifescope {

using CodesLearnFrom = CodebookOptions::CodesLearnFrom;

CodebookRecipe CodebookBase(int64_t width, int64_t code_count) {
  CodebookRecipe recipe;
  recipe.objective.width = width;
  recipe.objective.code_count = code_count;
  recipe.loop.schedule.peak = 1e-3;
  return recipe;
}

CodebookRecipe CodebookAeLoss(int64_t width, int64_t code_count) {
  CodebookRecipe recipe = CodebookBase(width, code_count);
  recipe.objective.codes_learn_from = CodesLearnFrom::kBoth;
  return recipe;
}

CodebookRecipe CodebookVqVae(int64_t width, int64_t code_count) {
  CodebookRecipe recipe = CodebookBase(width, code_count);
  recipe.objective.similarity = CodeSimilarity::kEuclidean;
  recipe.objective.codes_learn_from = CodesLearnFrom::kDistance;
  recipe.objective.commitment_coefficient = 0.25;
  return recipe;
}

}  // namespace lifescope
