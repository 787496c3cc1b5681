// Settings of JumpReLU trainings as published. Sparsity coefficients depend on the scale of the rows and want a sweep.
#pragma once

#include <cstdint>

#include "server/dictionary/training/jumprelu_objective.h"
#include "server/dictionary/training/sae_trainer.h"

namespace lifescope {

struct JumpReluRecipe {
  JumpReluOptions objective;
  SaeTrainerOptions loop;
};

// Gemma Scope (Lieberum et al. 2024, arXiv:2408.05147). Its rows are divided by a constant so that their mean square
// norm is 1 (input_scale.h folds it), and its dictionaries are published without the decoder bias at the input. Their
// coefficients are 1e-5 to 1e-2 by site; batches have 4096 rows.
JumpReluRecipe GemmaScopeJumpRelu(int64_t input_dim, int64_t feature_count);

// Google DeepMind's follow-up to JumpReLU: Gemma Scope's training with a penalty that grows with the square of how
// often a feature fires, L0Penalty::Shape::kFrequencyQuadratic.
JumpReluRecipe DeepMindFrequency(int64_t input_dim, int64_t feature_count);

// saprmarks/dictionary_learning, JumpReluTrainer: holds L0 at a target of 20.
JumpReluRecipe DictionaryLearningJumpRelu(int64_t input_dim, int64_t feature_count);

// SAELens 6, JumpReLUTrainingSAE with its step loss, and with its tanh loss.
JumpReluRecipe SaeLensJumpRelu(int64_t input_dim, int64_t feature_count);
JumpReluRecipe SaeLensJumpReluTanh(int64_t input_dim, int64_t feature_count);

// Anthropic's update of January 2025: tanh sparsity that rises over the whole training, a wide kernel that passes to
// the input too, and a loss on pre-activations of all features. Its rows have a mean norm of sqrt(input_dim).
JumpReluRecipe AnthropicJumpRelu(int64_t input_dim, int64_t feature_count, int64_t total_steps);

// bartbussmann/BatchTopK, JumpReLUSAE.
JumpReluRecipe BussmannJumpRelu(int64_t input_dim, int64_t feature_count);

}  // namespace lifescope
