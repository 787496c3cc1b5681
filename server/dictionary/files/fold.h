// Other weights of the same dictionary: rewritings that a file format asks for.
#pragma once

#include "server/dictionary/weights.h"

namespace lifescope {

// The same features and reconstructions with or without b_dec subtracted from the input:
// (x - b_dec) W_enc + b = x W_enc + (b - b_dec W_enc). Of gated, b_gate moves by b_dec W_enc and b_mag by exp(r_mag)
// times that. Unchanged when it is so already; else the biases are in Double.
DictionaryWeights WithInputBias(DictionaryWeights weights, bool apply_b_dec_to_input);

// The same features as jumprelu. standard: threshold 0. gated: W_enc exp(r_mag), b_mag, and the threshold
// b_mag - exp(r_mag) b_gate (Rajamanoharan et al. 2024, arXiv:2404.16014, appendix), in Double. Throws c10::ValueError
// for topk, whose features depend on each other.
DictionaryWeights AsJumpRelu(DictionaryWeights weights);

}  // namespace lifescope
