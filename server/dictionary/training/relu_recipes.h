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

// Bricken et al. 2023, "Towards Monosemanticity": unit directions, and features that did not fire for 12,500 steps
// resampled from 819,200 rows after steps 25,000, 50,000, 75,000 and 100,000. Batches had 8192 rows. The rate, which
// the authors swept, is ai-safety-foundation's, the coefficient dictionary_learning's.
ReluRecipe BrickenStandard(int64_t input_dim, int64_t feature_count);
// saprmarks/dictionary_learning: StandardTrainer (Bricken et al. 2023), StandardTrainerAprilUpdate, PAnnealTrainer. The
// first resamples from its batch when Resampling::every is set; the rate then begins anew as often
// (RateSchedule::restart_every).
ReluRecipe DictionaryLearningStandard(int64_t input_dim, int64_t feature_count);
ReluRecipe DictionaryLearningApril(int64_t input_dim, int64_t feature_count);
ReluRecipe DictionaryLearningPAnneal(int64_t input_dim, int64_t feature_count);
// jbloomAus/SAELens 6, architecture "standard".
ReluRecipe SaeLensStandard(int64_t input_dim, int64_t feature_count);
// Anthropic, January 2024: tanh penalty of f times decoder norms. All else is DictionaryLearningApril.
ReluRecipe AnthropicTanh(int64_t input_dim, int64_t feature_count);
// ai-safety-foundation/sparse_autoencoder. It resamples when Resampling::every is set; its own default is 2 10^8 rows.
ReluRecipe AiSafetyFoundation(int64_t input_dim, int64_t feature_count);
// bartbussmann/BatchTopK: VanillaSAE. Its coefficient is 0 by default: it is to be set.
ReluRecipe BatchTopKVanilla(int64_t input_dim, int64_t feature_count);
// openai/sparse_autoencoder: the ReLU autoencoder with normalised losses. Its coefficient has no default: 0, to be set.
ReluRecipe OpenAiRelu(int64_t input_dim, int64_t feature_count);
ReluRecipe OpenAiReluTied(int64_t input_dim, int64_t feature_count);

struct UnitDictionaryRecipe {
  UnitDictionaryOptions objective;
  SaeTrainerOptions loop;
};
// HoagyC/sparse_coding (Cunningham et al. 2023).
UnitDictionaryRecipe Cunningham(int64_t input_dim, int64_t feature_count);
UnitDictionaryRecipe CunninghamTied(int64_t input_dim, int64_t feature_count);

struct GhostGradientRecipe {
  GhostGradientOptions objective;
  SaeTrainerOptions loop;
};
// jacobdunefsky/transcoder_circuits (Dunefsky et al. 2024, arXiv:2406.11944): the autoencoder and the transcoder.
GhostGradientRecipe TranscoderCircuitsGhost(int64_t input_dim, int64_t feature_count);
GhostGradientRecipe TranscoderCircuitsTranscoder(int64_t input_dim, int64_t output_dim, int64_t feature_count);

}  // namespace lifescope
