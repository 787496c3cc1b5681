// SAELens folders {cfg.json, sae_weights.safetensors}: how a home keeps its dictionaries, and what SAELens exchanges.
#pragma once

#include <string>

#include "server/dictionary/dictionary.h"
#include "server/dictionary/files/stored_dictionary.h"
#include "server/dictionary/weights.h"

namespace lifescope {

// Reads a folder of SAELens 6 strictly: an unknown or missing key, an unknown or missing tensor, a wrong shape, a
// non-finite value, an unsupported architecture or normalisation: each throws c10::ValueError naming file, thing, found
// and expected. The flat cfg.json of versions before 6 and checkpoints of training are read too (batchtopk and
// matryoshka_batchtopk act as jumprelu); an input factor in activation_scaler.json and decoder norms that selection
// asks for are folded into the weights.
StoredDictionary ReadSaeLens(const std::string& folder);

// ReadSaeLens, ready to compute in `dtype`, kFloat or kDouble.
LoadedDictionary LoadSaeLens(const std::string& folder, at::ScalarType dtype, at::Device device);

// Writes a folder as SAELens 6 does, in one step: it appears whole. Tensors are float32, or float64 when one of them
// is; of transcoders, b_dec is folded into the encoder when it was subtracted from the input. Transcoders that SAELens
// has no name for are written as "topk_transcoder", "topk_skip_transcoder", "gated_transcoder", "gated_skip_transcoder"
// and "jumprelu_skip_transcoder", which only lifescope reads, as it does "groupmax", "sparse_coding",
// "gradient_pursuit", "codebook" and "codebook_euclidean".
// Throws c10::ValueError when the folder exists already (and is not empty) or cannot be written, and as CheckWeights.
void WriteSaeLens(const std::string& folder, const DictionaryWeights& weights, const DictionaryInfo& info);

// WriteSaeLens for SAELens itself: throws c10::ValueError when it has no name for the dictionary.
void ExportSaeLens(const std::string& folder, const DictionaryWeights& weights, const DictionaryInfo& info);

}  // namespace lifescope
