#include "server/dictionary/files/format.h"

#include <c10/util/Exception.h>

#include <filesystem>
#include <set>

#include "server/dictionary/files/dictionary_learning.h"
#include "server/dictionary/files/gemma_scope.h"
#include "server/dictionary/files/openai.h"
#include "server/dictionary/files/saelens.h"
#include "server/dictionary/files/sparsify.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;

struct Format {
  DictionaryFormat format;
  const char* name;
  const char* file;  // which tells it from the others
  bool is_one_file;
  StoredDictionary (*read)(const std::string& path);
  void (*write)(const std::string& folder, const DictionaryWeights& weights, const DictionaryInfo& info);
};
const Format kFormats[] = {
    {DictionaryFormat::kSaeLens, "saelens", "sae_weights.safetensors", false, ReadSaeLens, ExportSaeLens},
    {DictionaryFormat::kSparsify, "sparsify", "sae.safetensors", false, ReadSparsify, WriteSparsify},
    {DictionaryFormat::kDictionaryLearning, "dictionary_learning", "ae.pt", false, ReadDictionaryLearning,
     WriteDictionaryLearning},
    {DictionaryFormat::kOpenAi, "openai", "autoencoder.pt", true, ReadOpenAi, WriteOpenAi},
    {DictionaryFormat::kGemmaScope, "gemma_scope", "params.npz", true, ReadGemmaScope, WriteGemmaScope},
};

const Format& Find(DictionaryFormat format) {
  for (const Format& entry : kFormats) {
    if (entry.format == format) return entry;
  }
  TORCH_CHECK(false, "format ", static_cast<int>(format), " is not in the enum");
}

std::string FolderOf(const std::string& path) {
  TORCH_CHECK_VALUE(fs::exists(path), path, ": no such file or folder");
  if (fs::is_directory(path)) return path;
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? std::string(".") : parent.string();
}

}  // namespace

std::string FormatName(DictionaryFormat format) { return Find(format).name; }

DictionaryFormat ParseFormat(const std::string& name) {
  for (const Format& entry : kFormats) {
    if (name == entry.name) return entry.format;
  }
  std::string names;
  for (const std::string& known : FormatNames()) names += (names.empty() ? "" : ", ") + known;
  TORCH_CHECK_VALUE(false, "format '", name, "', expected one of: ", names);
}

std::vector<std::string> FormatNames() {
  std::vector<std::string> names;
  for (const Format& entry : kFormats) names.emplace_back(entry.name);
  return names;
}

DictionaryFormat DetectFormat(const std::string& path) {
  const std::string folder = FolderOf(path);
  const std::string file = fs::is_directory(path) ? std::string() : fs::path(path).filename().string();
  std::vector<const Format*> found;
  std::string expected;
  for (const Format& entry : kFormats) {
    if (file.empty() ? fs::exists(fs::path(folder) / entry.file) : file == entry.file) found.push_back(&entry);
    expected += (expected.empty() ? "" : ", ") + std::string(entry.file);
  }
  TORCH_CHECK_VALUE(!found.empty(), path, ": holds no dictionary, expected one of: ", expected);
  TORCH_CHECK_VALUE(found.size() == 1, path, ": holds ", found[0]->file, " and ", found[1]->file,
                    ": say which format is meant");
  return found[0]->format;
}

StoredDictionary ImportDictionary(const std::string& path, DictionaryFormat format) {
  const Format& entry = Find(format);
  const std::string folder = FolderOf(path);
  return entry.read(entry.is_one_file ? path : folder);
}

void ExportDictionary(const std::string& folder, DictionaryFormat format, const DictionaryWeights& weights,
                      const DictionaryInfo& info) {
  // What other programs know: all else only lifescope computes.
  const std::set<std::string> exchanged{"standard", "gated", "jumprelu", "topk"};
  TORCH_CHECK_VALUE(exchanged.count(weights.architecture) > 0, FormatName(format), " cannot hold architecture '",
                    weights.architecture, "', which only lifescope reads");
  TORCH_CHECK_VALUE(!info.is_crosscoder(), FormatName(format), " cannot hold a crosscoder over ", info.hook_point);
  Find(format).write(folder, weights, info);
}

}  // namespace lifescope
