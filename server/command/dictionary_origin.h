// How the dictionaries of a home came about: training.json beside the weights, written by train-sae, fit-baseline and
// import-sae.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lifescope {

// Writes training.json into the folder of a dictionary. Whose it is: "recipe", a SaeRecipe as text with the dictionary
// alone; "method", of a baseline; or "format", of the files that were imported.
void WriteOrigin(const std::string& folder, const nlohmann::json& origin);

// What dictionaries can be compared by: the published recipe ("dictionary_learning/topk"), the baseline's method
// ("pca"), "import/<format>/<architecture>" of an import, and "import/saelens/<architecture>" without a training.json.
// Throws c10::ValueError naming the file when it is not one.
std::string KindOf(const std::string& folder, const std::string& architecture);

}  // namespace lifescope
