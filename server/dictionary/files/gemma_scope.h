// Gemma Scope: a folder with params.npz of a JumpReLU autoencoder or transcoder (Lieberum et al. 2024,
// arXiv:2408.05147).
#pragma once

#include <string>

#include "server/dictionary/files/stored_dictionary.h"

namespace lifescope {

// Arrays W_enc [d_in, n], W_dec [n, d_out], b_enc, b_dec, threshold, of which w_enc and w_dec may be in lower case;
// b_dec is not subtracted from the input. `path` is the folder or the file. Strict on names and shapes. The file names
// no model and no hook point.
StoredDictionary ReadGemmaScope(const std::string& path);

// Writes jumprelu, and what equals it: standard and gated (fold.h), each with b_dec folded into the encoder's bias.
// Throws c10::ValueError naming what it cannot hold (topk, a skip connection, a normalised input), or when the folder
// exists.
void WriteGemmaScope(const std::string& folder, const DictionaryWeights& weights, const DictionaryInfo& info);

}  // namespace lifescope
