// What every Export starts from.
#pragma once

#include <string>

#include "server/dictionary/training/objective.h"
#include "server/dictionary/weights.h"

namespace lifescope {

// Copies of kEncoder, kDecoder and kDecoderBias as W_enc, W_dec and b_dec.
DictionaryWeights ExportedMatrices(const std::string& architecture, const Parameters& parameters,
                                   bool apply_b_dec_to_input);

}  // namespace lifescope
