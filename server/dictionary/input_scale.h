// Weights of a dictionary that was trained on scaled rows, for the rows as they are.
#pragma once

#include "server/dictionary/weights.h"

namespace lifescope {

// What the activations of features become when the factor is folded.
enum class FeatureUnits {
  kOfTraining,  // as in training (SAELens: encoder times factor, decoder divided by it)
  kOfRows,      // divided by the factor, as the rows are (dictionary_learning, Gemma Scope: biases and thresholds)
};

// `weights` read factor * x and give factor * reconstruction; what comes back reads x and gives the reconstruction. In
// Double. Throws c10::ValueError for a factor that is not above 0 and finite, and, unless it is 1, for weights that
// normalise rows, skip or have no encoder matrix.
DictionaryWeights FoldInputScale(DictionaryWeights weights, double factor, FeatureUnits units);

// The same for rows whose columns had factors of their own, input [d_in] and output [d_out]: several hook points, or a
// transcoder. Features are as in training. Not for codebooks and encoders that search.
DictionaryWeights FoldColumnScales(DictionaryWeights weights, const at::Tensor& input, const at::Tensor& output);

}  // namespace lifescope
