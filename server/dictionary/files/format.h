// Every file format of dictionaries behind one door.
#pragma once

#include <string>
#include <vector>

#include "server/dictionary/files/stored_dictionary.h"

namespace lifescope {

enum class DictionaryFormat { kSaeLens, kSparsify, kDictionaryLearning, kOpenAi, kGemmaScope };

// "saelens", "sparsify", "dictionary_learning", "openai", "gemma_scope".
std::string FormatName(DictionaryFormat format);
// Throws c10::ValueError for another name.
DictionaryFormat ParseFormat(const std::string& name);
std::vector<std::string> FormatNames();

// The format of a folder, or of a file in it, by the names of the files there: sae_weights.safetensors,
// sae.safetensors, ae.pt, autoencoder.pt, params.npz. Throws c10::ValueError when there is none of them, or several.
DictionaryFormat DetectFormat(const std::string& path);

// Reads the folder `path`, or that of the file `path`; of the formats that are one file, that file. Metrics that a file
// holds are not read.
StoredDictionary ImportDictionary(const std::string& path, DictionaryFormat format);

// Writes a new folder. Throws c10::ValueError when the format cannot hold the dictionary, naming why.
void ExportDictionary(const std::string& folder, DictionaryFormat format, const DictionaryWeights& weights,
                      const DictionaryInfo& info);

}  // namespace lifescope
