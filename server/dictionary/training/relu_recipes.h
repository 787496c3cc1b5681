// Published recipes of ReLU dictionaries, with the defaults of their reference implementations. Widths are given; what
// depends on the length of a training (decay) is left out, as in the references' defaults.
#pragma once

#include <cstdint>

#include "server/dictionary/training/ghost_gradient_objective.h"
#include "server/dictionary/training/relu_objective.h"
#include "server/dictionary/training/sae_trainer.h"
#include "server/dictionary/training/unit_dictionary_objective.h"

namespace lifescope {

struct ReluRecipe {
  ReluOptions objective;
  SaeTrainerOptions loop;
};

// saprmarks/dictionary_learning: StandardTrainer (Bricken et al. 2023), StandardTrainerAprilUpdate, PAnnealTrainer.
ReluRecipe DictionaryLearningStandard(int64_t input_dim, int64_t feature_count);
ReluRecipe DictionaryLearningApril(int64_t input_dim, int64_t feature_count);
ReluRecipe DictionaryLearningPAnneal(int64_t input_dim, int64_t feature_count);
// jbloomAus/SAELens 6, architecture "standard".
ReluRecipe SaeLensStandard(int64_t input_dim, int64_t feature_count);
// ai-safety-foundation/sparse_autoencoder.
ReluRecipe AiSafetyFoundation(int64_t input_dim, int64_t feature_count);
// bartbussmann/BatchTopK: VanillaSAE. Its coefficient is 0 by default: it is to be set.
ReluRecipe BatchTopKVanilla(int64_t input_dim, int64_t feature_count);
// openai/sparse_autoencoder: the ReLU autoencoder with normalised losses. Its coefficient has no default: 0, to be set.
ReluRecipe OpenAiRelu(int64_t input_dim, int64_t feature_count);

struct UnitDictionaryRecipe {
  UnitDictionaryOptions objective;
  SaeTrainerOptions loop;
};
// HoagyC/sparse_coding (Cunningham et al. 2023).
UnitDictionaryRecipe Cunningham(int64_t input_dim, int64_t feature_count);

struct GhostGradientRecipe {
  GhostGradientOptions objective;
  SaeTrainerOptions loop;
};
// jacobdunefsky/transcoder_circuits, the autoencoder.
GhostGradientRecipe TranscoderCircuitsGhost(int64_t input_dim, int64_t feature_count);

}  // namespace lifescope
