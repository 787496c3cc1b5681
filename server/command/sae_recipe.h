// A SaeRecipe as text, checked and with its defaults filled in.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lifescope/v1/sae_recipe.pb.h"
#include "server/dictionary/training/published_recipes.h"
#include "server/training/activation_source.h"
#include "server/training/activation_stream.h"
#include "server/training/sae_session.h"

namespace lifescope {

// Throws c10::ValueError naming file, line and fault.
v1::SaeRecipe ReadSaeRecipe(const std::string& path);

// "learning_rate=0.001" on every dictionary of the recipe, by the names of SaeDictionaryRecipe.
void SetDictionaryFields(const std::vector<std::string>& assignments, v1::SaeRecipe& recipe);

// Fills in what is not given. `name` and `hook_point` are those of a dictionary that has none (an empty hook point: it
// is an error). Throws c10::ValueError: no dictionary, no name or one twice, nothing to read.
void CompleteSaeRecipe(const std::string& name, const std::string& hook_point, v1::SaeRecipe& recipe);

// The following are for complete recipes.

// Every hook point that a dictionary reads or predicts, once, in the order in which they come.
std::vector<std::string> SitesOf(const v1::SaeRecipe& recipe);
ActivationStreamOptions StreamOptionsOf(const v1::SaeRecipe& recipe);
// Throws c10::ValueError naming the dictionary: a site that `sites` lack, or as MakeTraining.
std::vector<SaePlan> PlansOf(const v1::SaeRecipe& recipe, const std::vector<ActivationSite>& sites);

}  // namespace lifescope
