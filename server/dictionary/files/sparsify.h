// EleutherAI's sparsify: a folder {cfg.json, sae.safetensors} of a TopK autoencoder or transcoder.
#pragma once

#include <string>

#include "server/dictionary/files/stored_dictionary.h"

namespace lifescope {

// Strict, as ReadSaeLens. Refused by name: the activation groupmax, checkpoints from before W_dec had its present shape
// (unknown keys say so). The files name no model and no hook point.
StoredDictionary ReadSparsify(const std::string& folder);

// Writes what SparseCoder.save_to_disk writes, in one step. Holds topk without normalisation, with or without W_skip,
// that writes as wide as it reads; a transcoder is written with "transcode", everything else with b_dec subtracted from
// the input. Throws c10::ValueError naming what it cannot hold, or when the folder exists.
void WriteSparsify(const std::string& folder, const DictionaryWeights& weights, const DictionaryInfo& info);

}  // namespace lifescope
