#include "server/runtime/registry.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>

#include "server/dictionary/files/saelens.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;

// Names of the folders in `folder`, sorted. Hidden ones are the writers' unfinished work.
std::vector<std::string> FoldersOf(const std::string& folder) {
  std::vector<std::string> names;
  if (!fs::exists(folder)) return names;
  TORCH_CHECK_VALUE(fs::is_directory(folder), folder, ": not a folder");
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (entry.is_directory() && name.front() != '.') names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Makes its value on first use and keeps it; a failed attempt is made again by the next caller. Thread-safe.
template <typename T>
std::function<std::shared_ptr<const T>()> Lazily(std::function<std::shared_ptr<const T>()> make) {
  struct State {
    std::once_flag once;
    std::shared_ptr<const T> value;
  };
  return [state = std::make_shared<State>(), make = std::move(make)] {
    std::call_once(state->once, [&] { state->value = make(); });
    return state->value;
  };
}

// The audit copy must be of the bytes that were served so far.
void CheckUnchanged(const std::string& folder, const std::string& now, const std::string& then) {
  TORCH_CHECK_VALUE(now == then, folder, ": digest ", now, ", expected ", then,
                    " as when the server started; artefacts are immutable, restart the server");
}

ModelArtifact LoadModelArtifact(const std::string& folder, const std::string& name, at::Device device) {
  LoadedModel loaded = LoadModel(folder, at::kFloat, device);
  auto vocabulary = std::make_shared<const Vocabulary>(Vocabulary::Load(folder + "/vocab.tsv"));
  const int64_t expected = loaded.transformer->hyperparameters().vocab_size;
  TORCH_CHECK_VALUE(vocabulary->size() == expected, folder, "/vocab.tsv: ", vocabulary->size(), " tokens, expected ",
                    expected, " as in hparams.json");
  auto audit = Lazily<Transformer>([folder, device, digest = loaded.digest] {
    LoadedModel copy = LoadModel(folder, at::kDouble, device);
    CheckUnchanged(folder, copy.digest, digest);
    return copy.transformer;
  });
  return {name, loaded.digest, loaded.transformer, std::move(audit), std::move(vocabulary)};
}

// Nothing for a crosscoder: runs read and edit one hook point.
std::optional<DictionaryArtifact> LoadDictionaryArtifact(const std::string& folder, const std::string& name,
                                                         at::Device device) {
  LoadedDictionary loaded = LoadSaeLens(folder, at::kFloat, device);
  if (loaded.info.is_crosscoder()) return std::nullopt;
  auto audit = Lazily<Dictionary>([folder, device, digest = loaded.digest] {
    LoadedDictionary copy = LoadSaeLens(folder, at::kDouble, device);
    CheckUnchanged(folder, copy.digest, digest);
    return copy.dictionary;
  });
  return DictionaryArtifact{name,
                            loaded.digest,
                            loaded.dictionary,
                            std::move(audit),
                            loaded.info.model,
                            HookPoint::Parse(loaded.info.hook_point),
                            loaded.is_transcoder(),
                            loaded.is_transcoder() ? loaded.info.output_hook_point : std::string()};
}

HeadArtifact LoadHeadArtifact(const std::string& folder, const std::string& name,
                              const std::vector<ModelArtifact>& models, at::Device device) {
  LoadedHead loaded = LoadHead(folder, at::kFloat, device);
  auto audit = Lazily<ClassifierHead>([folder, device, digest = loaded.digest] {
    LoadedHead copy = LoadHead(folder, at::kDouble, device);
    CheckUnchanged(folder, copy.digest, digest);
    return copy.head;
  });
  std::string model;
  for (const ModelArtifact& held : models) {
    if (held.digest == loaded.head->description().model_digest) model = held.name;
  }
  return {name, loaded.digest, loaded.head, std::move(audit), std::move(model)};
}

template <typename Artifact>
std::string NamesOf(const std::vector<const Artifact*>& artifacts) {
  std::string names;
  for (const Artifact* artifact : artifacts) names += (names.empty() ? "" : ", ") + artifact->name;
  return names;
}

// The artefact of that name or digest among `artifacts`; empty: the only one.
template <typename Artifact>
const Artifact& Choose(const std::vector<const Artifact*>& artifacts, const std::string& name, const char* kind) {
  if (name.empty()) {
    TORCH_CHECK_VALUE(!artifacts.empty(), "no ", kind, " is held");
    TORCH_CHECK_VALUE(artifacts.size() == 1, "not named, but there are ", artifacts.size(), ": ", NamesOf(artifacts));
    return *artifacts.front();
  }
  for (const Artifact* artifact : artifacts) {
    if (artifact->name == name || artifact->digest == name) return *artifact;
  }
  throw std::out_of_range(std::string("no ") + kind + " '" + name + "'" +
                          (artifacts.empty() ? "; none is held" : "; there are: " + NamesOf(artifacts)));
}

// Empty name: the only artefact of `model`, which may be empty too.
template <typename Artifact>
const Artifact& ChooseOfModel(const std::vector<Artifact>& artifacts, const std::string& name, const std::string& model,
                              const char* kind) {
  std::vector<const Artifact*> candidates;
  for (const Artifact& artifact : artifacts) {
    if (!name.empty() || model.empty() || artifact.model == model) candidates.push_back(&artifact);
  }
  TORCH_CHECK_VALUE(!name.empty() || model.empty() || !candidates.empty(), "no ", kind, " of model '", model,
                    "' is held");
  return Choose(candidates, name, kind);
}

template <typename Artifact>
std::vector<const Artifact*> Pointers(const std::vector<Artifact>& artifacts) {
  std::vector<const Artifact*> pointers;
  for (const Artifact& artifact : artifacts) pointers.push_back(&artifact);
  return pointers;
}

}  // namespace

Registry Registry::Load(const std::string& home, at::Device device,
                        const std::function<void(const std::string& kind, const std::string& name)>& on_loaded) {
  TORCH_CHECK_VALUE(fs::is_directory(home), home,
                    ": not a folder, expected a home with models, dictionaries, heads, corpora");
  const auto loaded = [&](const char* kind, const std::string& name) {
    if (on_loaded) on_loaded(kind, name);
  };
  Registry registry;
  for (const std::string& name : FoldersOf(home + "/models")) {
    registry.models_.push_back(LoadModelArtifact(home + "/models/" + name, name, device));
    loaded("model", name);
  }
  for (const std::string& name : FoldersOf(home + "/dictionaries")) {
    auto dictionary = LoadDictionaryArtifact(home + "/dictionaries/" + name, name, device);
    loaded(dictionary ? "dictionary" : "crosscoder, not served", name);
    if (dictionary) registry.dictionaries_.push_back(*std::move(dictionary));
  }
  for (const std::string& name : FoldersOf(home + "/heads")) {
    registry.heads_.push_back(LoadHeadArtifact(home + "/heads/" + name, name, registry.models_, device));
    loaded("head", name);
  }
  for (const std::string& name : FoldersOf(home + "/corpora")) {
    std::shared_ptr<const class Corpus> corpus = Corpus::Open(home + "/corpora/" + name);
    registry.corpora_.push_back({name, corpus->digest(), corpus});
    loaded("corpus", name);
  }
  return registry;
}

const ModelArtifact& Registry::Model(const std::string& name) const { return Choose(Pointers(models_), name, "model"); }

const DictionaryArtifact& Registry::Dictionary(const std::string& name, const std::string& model) const {
  return ChooseOfModel(dictionaries_, name, model, "dictionary");
}

const HeadArtifact& Registry::Head(const std::string& name, const std::string& model) const {
  return ChooseOfModel(heads_, name, model, "head");
}

const CorpusArtifact& Registry::Corpus(const std::string& name) const {
  return Choose(Pointers(corpora_), name, "corpus");
}

}  // namespace lifescope
