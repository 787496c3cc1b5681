// Weights whose decoder directions have norm 1, from weights whose norms are free.
#pragma once

#include "server/dictionary/weights.h"

namespace lifescope {

// Decoder directions are divided by their norms; pre-activations and thresholds, and with them features, are multiplied
// by these, so that reconstructions stay (Anthropic, April 2024; dictionary_learning's normalize_decoder). Of topk the
// selection becomes that by products with the norm (SAELens's rescale_acts_by_decoder_norm). A direction of zeros
// stays so, and its feature is never active. In Double. Throws as CheckWeights.
DictionaryWeights FoldDecoderNorm(DictionaryWeights weights);

}  // namespace lifescope
