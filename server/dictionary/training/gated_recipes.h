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

// The same library's GatedAnnealTrainer: the exponent of the sparsity falls from step 15,000 to `total_steps`, to the
// 0.2 of the paper (Karvonen et al. 2024).
GatedRecipe DictionaryLearningGatedAnneal(int64_t input_dim, int64_t feature_count, int64_t total_steps);

// SAELens 6, GatedTrainingSAE: free decoder norms that weight the sparsity, auxiliary gradients into the decoder too.
GatedRecipe SaeLensGated(int64_t input_dim, int64_t feature_count);

}  // namespace lifescope
