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
// Double. Throws c10::ValueError for a factor that is not above 0 and finite, and when `weights` normalise rows or
// skip.
DictionaryWeights FoldInputScale(DictionaryWeights weights, double factor, FeatureUnits units);

}  // namespace lifescope
