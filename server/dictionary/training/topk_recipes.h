// Settings of TopK trainings as their references have them (golden sae/train of the same names). What a
// reference leaves to the user keeps its default here: k, the number of steps and the schedule's decay. Initial weights
// are our own, from the seed: decoder directions drawn uniformly, the encoder their transpose.
#pragma once

#include <cstdint>
#include <vector>

#include "server/dictionary/training/sae_trainer.h"
#include "server/dictionary/training/topk_objective.h"

namespace lifescope {

struct TopKRecipe {
  TopKOptions objective;
  SaeTrainerOptions loop;
};

// saprmarks/dictionary_learning: unit directions, AuxK, clipped gradients, learning rate 2e-4 / sqrt(features / 2^14).
// k falls from input_dim when TopKSelection::anneal_steps is set.
TopKRecipe DictionaryLearningTopK(int64_t input_dim, int64_t feature_count);
TopKRecipe DictionaryLearningBatchTopK(int64_t input_dim, int64_t feature_count);
// Groups of 1/32, 1/16, 1/8, 1/4 and the rest of the features. The loss is divided by the number of groups twice, as
// the reference's is.
TopKRecipe DictionaryLearningMatryoshka(int64_t input_dim, int64_t feature_count);
// The prefixes of these groups, whose sizes are fractions of the features rounded down, the last one with what is left.
Prefixes DictionaryLearningPrefixes(const std::vector<double>& group_fractions, int64_t feature_count);

// SAELens 6: free norms that start at 0.1 and weight the selection; auxiliary coefficient 1, not normalised.
TopKRecipe SaeLensTopK(int64_t input_dim, int64_t feature_count);
TopKRecipe SaeLensBatchTopK(int64_t input_dim, int64_t feature_count);
// Prefixes of these widths, the last one feature_count, of which all have weight 1.
TopKRecipe SaeLensMatryoshka(int64_t input_dim, int64_t feature_count, const std::vector<int64_t>& widths);

// bartbussmann/BatchTopK and matryoshka_sae: losses are means over elements, no encoder bias, directions normalised
// before the update.
TopKRecipe BussmannTopK(int64_t input_dim, int64_t feature_count);
TopKRecipe BussmannBatchTopK(int64_t input_dim, int64_t feature_count);
// The mean of the errors of the decoder bias alone and of the prefixes of these widths.
TopKRecipe BussmannMatryoshka(int64_t input_dim, int64_t feature_count, const std::vector<int64_t>& widths);

// Nabeshima's Matryoshka: 10 prefixes drawn at every step, their errors averaged; all else is BussmannBatchTopK.
// Which ones is the sampled_seed's to say.
TopKRecipe NabeshimaMatryoshka(int64_t input_dim, int64_t feature_count);

// openai/sparse_autoencoder, train.py: TopK and AuxK, running means of the weights, an encoder that starts rescaled.
// `mean_squared_deviation`, over the elements of the data, divides the loss. The released dictionaries' rows are
// normalised each by itself (layer norm).
TopKRecipe OpenAiTopK(int64_t input_dim, int64_t feature_count, double mean_squared_deviation);

// The same without a figure of the data: each batch's own deviation stands in for it.
TopKRecipe OpenAiTopKByBatch(int64_t input_dim, int64_t feature_count);

// EleutherAI/sparsify: the loss is the fraction of variance unexplained, descent by Adam. Its AuxK and Multi-TopK are
// off until their weights are set (1/32, 1/8), and train the decoder alone; so is the decay of k, from 10 input_dim,
// until its steps are.
TopKRecipe SparsifyTopK(int64_t input_dim, int64_t feature_count);
TopKRecipe SparsifyGroupMax(int64_t input_dim, int64_t feature_count);
// Predicts rows of another hook point; with a linear map beside the features.
TopKRecipe SparsifyTranscoder(int64_t input_dim, int64_t output_dim, int64_t feature_count);
TopKRecipe SparsifySkipTranscoder(int64_t input_dim, int64_t output_dim, int64_t feature_count);
// Sign descent without sparsify's schedule-free wrapper, learning rate 5e-3 / sqrt(features / 2^14).
TopKRecipe SparsifySignDescent(int64_t input_dim, int64_t feature_count);

}  // namespace lifescope
