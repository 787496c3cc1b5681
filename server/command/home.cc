#include "server/command/home.h"

#include <c10/util/Exception.h>
#include <malloc.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <limits>
#include <string_view>
#include <vector>

#include "server/dictionary/files/saelens.h"
#include "server/runtime/device.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;

std::string NamesIn(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.front() != '.') names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "nothing" : text;
}

void CheckExists(const std::string& folder) {
  const fs::path path(folder);
  TORCH_CHECK_VALUE(fs::is_directory(path), folder, ": no such folder; ", path.parent_path().string(), " holds ",
                    NamesIn(path.parent_path()));
}

bool IsNameCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
}

std::string Place(const std::string& home, const char* kind, const std::string& name) {
  TORCH_CHECK_VALUE(!name.empty() && name.front() != '.' && std::all_of(name.begin(), name.end(), IsNameCharacter),
                    "name: '", name, "', expected letters, digits, '.', '_' and '-', not starting with '.'");
  return home + "/" + kind + "/" + name;
}

}  // namespace

void AddHomeOption(CLI::App& verb, std::string& home) {
  verb.add_option("--home", home, "Folder of models, dictionaries, corpora and the database")
      ->envname("LIFESCOPE_HOME")
      ->required();
}

void AddThreadsOption(CLI::App& verb, int32_t& threads) {
  verb.add_option("--threads", threads, "Compute threads; 0: every CPU")
      ->envname("OMP_NUM_THREADS")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

int32_t PrepareCompute(int32_t threads) {
  // Large blocks from the heap, which keeps its pages: mapping tensors anew costs a page fault for every 4 KiB.
  constexpr int kLargestHeapBlock = 32 << 20;
  mallopt(M_MMAP_THRESHOLD, kLargestHeapBlock);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  if (threads == 0) threads = AvailableCpus();
  SetComputeThreads(threads);
  return threads;
}

std::string ModelFolder(const std::string& home, const std::string& name) { return Place(home, "models", name); }
std::string DictionaryFolder(const std::string& home, const std::string& name) {
  return Place(home, "dictionaries", name);
}
std::string HeadFolder(const std::string& home, const std::string& name) { return Place(home, "heads", name); }
std::string CorpusFolder(const std::string& home, const std::string& name) { return Place(home, "corpora", name); }
std::string LabelFolder(const std::string& home, const std::string& name) { return Place(home, "labels", name); }
std::string CardFolder(const std::string& home, const std::string& name) { return Place(home, "cards", name); }
std::string ComparisonFolder(const std::string& home, const std::string& name) {
  return Place(home, "comparisons", name);
}
std::string ActivationsFolder(const std::string& home, const std::string& name) {
  return Place(home, "activations", name);
}
std::string CheckpointFile(const std::string& home, const std::string& dictionary) {
  const fs::path folder = DictionaryFolder(home, dictionary);
  return folder.parent_path() / ("." + dictionary + ".checkpoint.safetensors");
}
std::string DefaultStoreUrl(const std::string& home) { return "sqlite:" + home + "/lifescope.db"; }

void PrepareNewArtifact(const std::string& folder) {
  TORCH_CHECK_VALUE(!fs::exists(folder), folder, " exists: nothing is overwritten; choose another --name");
  std::error_code error;
  fs::create_directories(fs::path(folder).parent_path(), error);
  TORCH_CHECK_VALUE(!error, fs::path(folder).parent_path().string(), ": cannot be made: ", error.message());
}

OpenedModel OpenModel(const std::string& home, const std::string& name) {
  const std::string folder = ModelFolder(home, name);
  CheckExists(folder);
  LoadedModel model = LoadModel(folder, at::kFloat, at::kCPU);
  return {name, std::move(model.digest), std::move(model.transformer), Vocabulary::Load(folder + "/vocab.tsv")};
}

OpenedCorpus OpenCorpus(const std::string& home, const std::string& name) {
  const std::string folder = CorpusFolder(home, name);
  CheckExists(folder);
  return {name, Corpus::Open(folder)};
}

std::shared_ptr<const LabelTable> OpenLabels(const std::string& home, const std::string& name,
                                             const OpenedCorpus& corpus) {
  const std::string folder = LabelFolder(home, name);
  CheckExists(folder);
  return LabelTable::Open(folder, *corpus.corpus);
}

LoadedDictionary OpenDictionary(const std::string& home, const std::string& name) {
  const std::string folder = DictionaryFolder(home, name);
  CheckExists(folder);
  return LoadSaeLens(folder, at::kFloat, at::kCPU);
}

void CheckSameVocabulary(const OpenedModel& model, const OpenedCorpus& corpus) {
  const Vocabulary& other = corpus.corpus->vocabulary();
  TORCH_CHECK_VALUE(model.vocabulary.size() == other.size(), "model ", model.name, " has ", model.vocabulary.size(),
                    " tokens, corpus ", corpus.name, " has ", other.size(), ": expected the same vocabulary");
  for (int32_t id = 0; id < other.size(); ++id) {
    TORCH_CHECK_VALUE(model.vocabulary.token(id) == other.token(id), "token ", id, " is '", model.vocabulary.token(id),
                      "' in model ", model.name, ", '", other.token(id), "' in corpus ", corpus.name,
                      ": expected the same vocabulary");
  }
}

OpenedScan OpenScan(const std::string& home, const std::string& dictionary, const std::string& corpus) {
  OpenedScan scan;
  scan.dictionary = OpenDictionary(home, dictionary);
  TORCH_CHECK_VALUE(!scan.dictionary.info.is_crosscoder(), dictionary, ": a crosscoder over ",
                    scan.dictionary.info.hook_point, ", expected a dictionary of one hook point");
  scan.hook_point = HookPoint::Parse(scan.dictionary.info.hook_point);
  scan.model = OpenModel(home, scan.dictionary.info.model);
  scan.corpus = OpenCorpus(home, corpus);
  CheckSameVocabulary(scan.model, scan.corpus);
  return scan;
}

}  // namespace lifescope
