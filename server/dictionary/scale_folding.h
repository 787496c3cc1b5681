// Takes the factor with which activations were multiplied in training into the weights, so that a dictionary reads and
// writes raw activations.
#pragma once

#include <ATen/core/Tensor.h>

#include "server/dictionary/weights.h"

namespace lifescope {

// Trained on scale * x and writing the like: biases and thresholds are divided by the scale. Directions keep their
// norms and features become values / scale: in units of the raw activations (dictionary_learning's scale_biases). Right
// for every architecture whose activation function commutes with a positive factor: all but codebooks.
void FoldInputScale(double scale, DictionaryWeights& weights);

// Trained on input * x, columnwise, and writing output * y: the encoder's columns are multiplied, the decoder's
// divided. Features keep their values (SAELens' fold). For several sites or other targets; input [d_in], output
// [d_out].
void FoldColumnScales(const at::Tensor& input, const at::Tensor& output, DictionaryWeights& weights);

}  // namespace lifescope
