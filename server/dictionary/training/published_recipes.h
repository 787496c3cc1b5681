// Every published recipe by name, and settings over it: what a recipe file or a flag says, as names and numbers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/dictionary/training/objective.h"
#include "server/dictionary/training/sae_trainer.h"

namespace lifescope {

// What a dictionary is trained for.
struct TrainingShape {
  // Of each hook point that it reads; only crosscoders read several.
  std::vector<int64_t> input_widths;
  // Of the hook point that a transcoder predicts. 0: it reconstructs what it reads.
  int64_t output_dim = 0;
  int64_t feature_count = 0;
  int64_t steps = 0;
  int64_t batch_rows = 0;
  // Of the initial weights, and of whatever a recipe draws at its steps.
  uint64_t seed = 0;
};

struct DictionaryTraining {
  std::shared_ptr<const Objective> objective;
  SaeTrainerOptions loop;
};

// Names of the fields of lifescope.v1.SaeDictionaryRecipe.
using RecipeSettings = std::map<std::string, double>;

// The recipe of this name with the settings over it. Published schedules are for long trainings: where the settings do
// not say otherwise, warm-ups take at most a twentieth of the steps, the learning rate falls over the last fifth, a
// feature is dead after at most a tenth of the training without firing, an exponent falls from the first quarter of the
// steps on at the latest to three quarters of them, and features are resampled after at most a tenth of the steps each
// time.
//
// Throws c10::ValueError: an unknown name (the error says those that there are), a setting that the recipe does not
// have or that is out of range, several inputs for a recipe that is no crosscoder, an output for one that is no
// transcoder.
DictionaryTraining MakeTraining(const std::string& recipe, const TrainingShape& shape, const RecipeSettings& settings);

// What a recipe's rows are brought to before training, as its reference does or assumes: "unit_mean_square",
// "sqrt_width", "layer_norm", or "none".
std::string NormalisationOf(const std::string& recipe);

struct PublishedSaeRecipe {
  std::string name;       // "dictionary_learning/topk"
  std::string reference;  // in a few words
};
std::vector<PublishedSaeRecipe> PublishedSaeRecipes();

}  // namespace lifescope
