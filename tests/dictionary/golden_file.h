// The dictionaries that other programs wrote, in the golden data: golden/sae/files/<program>/<name>.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "server/artifact/safetensors.h"
#include "server/dictionary/files/format.h"
#include "tests/support/golden.h"

namespace lifescope {

struct GoldenFile {
  std::string folder;  // "saelens6/topk"
  DictionaryFormat format;

  std::string path() const { return GoldenPath("sae/files/" + folder); }
  bool is_transcoder() const { return folder.find("transcoder") != std::string::npos; }
  StoredDictionary Read() const { return ImportDictionary(path(), format); }
  // Rows, as wide as the dictionary reads: a hook_z dictionary reads all heads of a position as one row.
  at::Tensor Rows() const {
    return SafetensorsFile::Open(path() + "/golden.safetensors").Read("in/x").to(at::kDouble).reshape({-1, 32});
  }
};

inline std::vector<GoldenFile> GoldenFiles() {
  std::vector<GoldenFile> files;
  const std::pair<const char*, DictionaryFormat> programs[] = {
      {"saelens6", DictionaryFormat::kSaeLens},  {"saelens_pre6", DictionaryFormat::kSaeLens},
      {"sparsify", DictionaryFormat::kSparsify}, {"dictionary_learning", DictionaryFormat::kDictionaryLearning},
      {"openai", DictionaryFormat::kOpenAi},     {"gemma_scope", DictionaryFormat::kGemmaScope}};
  for (const auto& [program, format] : programs) {
    for (const std::string& name : GoldenFolders(std::string("sae/files/") + program)) {
      files.push_back({std::string(program) + "/" + name, format});
    }
  }
  return files;
}

// Letters, digits and '_' only, as names of parameterised tests must be.
inline std::string TestName(std::string text) {
  for (char& c : text) {
    if (!isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return text;
}

}  // namespace lifescope
