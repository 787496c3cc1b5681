// OpenAI's sparse_autoencoder: a folder with autoencoder.pt (Gao et al. 2024, arXiv:2406.04093).
#pragma once

#include <string>

#include "server/dictionary/files/stored_dictionary.h"

namespace lifescope {

// The activation ReLU gives standard; TopK (with the activation ReLU after it) gives topk with layer normalisation of
// the input, which the file does not say and its code does. `path` is the folder or the file. Strict on names and
// shapes; statistics of training in the file are not trusted and not kept. Refused by name: Identity, tied decoders.
// The file names no model and no hook point.
StoredDictionary ReadOpenAi(const std::string& path);

// Writes what Autoencoder.from_state_dict loads, in one step, its statistics as they are before training. Holds
// standard without normalisation and topk with layer normalisation, neither a transcoder; b_dec is subtracted from the
// input. Throws c10::ValueError naming what it cannot hold, or when the folder exists.
void WriteOpenAi(const std::string& folder, const DictionaryWeights& weights, const DictionaryInfo& info);

}  // namespace lifescope
