// Recipes of a pre-training as text.
#pragma once

#include <string>
#include <vector>

#include "server/training/pretrain_options.h"

namespace lifescope {

// A published recipe by its name, or a file with a PretrainRecipe in the text form. What the file does not say is as in
// its base, or as in `options`. Throws c10::ValueError naming file, line and fault.
void ReadRecipe(const std::string& name_or_path, PretrainOptions& options);

// "resample=0.4", by the names of PretrainRecipe. Throws c10::ValueError naming the fault.
void SetRecipeFields(const std::vector<std::string>& assignments, PretrainOptions& options);

}  // namespace lifescope
