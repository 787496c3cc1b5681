// Settings of Gated trainings as published; the sparsity coefficient is the references' default and wants a sweep.
#pragma once

#include <cstdint>

#include "server/dictionary/training/gated_objective.h"
#include "server/dictionary/training/sae_trainer.h"

namespace lifescope {

struct GatedRecipe {
  GatedOptions objective;
  SaeTrainerOptions loop;
};

// saprmarks/dictionary_learning, GatedSAETrainer: unit decoder directions, Adam without momentum.
GatedRecipe DictionaryLearningGated(int64_t input_dim, int64_t feature_count);

// SAELens 6, GatedTrainingSAE: free decoder norms that weight the sparsity, auxiliary gradients into the decoder too.
GatedRecipe SaeLensGated(int64_t input_dim, int64_t feature_count);

}  // namespace lifescope
