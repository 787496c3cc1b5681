// The artefacts that a server holds in memory, by name and by digest.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/dictionary/dictionary.h"
#include "server/model/classifier_head.h"
#include "server/model/transformer.h"

namespace lifescope {

struct ModelArtifact {
  std::string name;
  std::string digest;
  std::shared_ptr<const Transformer> transformer;
  // The float64 copy for audits, made on first use from the same folder.
  std::function<std::shared_ptr<const Transformer>()> audit_transformer;
  std::shared_ptr<const Vocabulary> vocabulary;
};

struct DictionaryArtifact {
  std::string name;
  std::string digest;
  std::shared_ptr<const Dictionary> dictionary;
  std::function<std::shared_ptr<const Dictionary>()> audit_dictionary;
  std::string model;  // name, from its file
  HookPoint hook_point;
  // Reads at hook_point and predicts another place: output_hook_point, "blocks.1.hook_mlp_out"; empty where its file
  // does not say, and where it is none.
  bool is_transcoder = false;
  std::string output_hook_point = {};
};

struct HeadArtifact {
  std::string name;
  std::string digest;
  std::shared_ptr<const ClassifierHead> head;
  std::function<std::shared_ptr<const ClassifierHead>()> audit_head;
  // Name of the model that it reads; empty when that model is not held.
  std::string model;
};

struct CorpusArtifact {
  std::string name;
  std::string digest;
  std::shared_ptr<const Corpus> corpus;
};

// What a home folder holds: models/<name>, dictionaries/<name>, heads/<name>, corpora/<name>. Immutable after load and
// thread-safe; entries stay alive while anyone uses them.
class Registry {
 public:
  // Reads every artefact of `home`. Throws c10::ValueError naming the folder and the fault; a missing subfolder is an
  // empty one. `on_loaded` is told each artefact ("model", "demo").
  static Registry Load(const std::string& home, at::Device device,
                       const std::function<void(const std::string& kind, const std::string& name)>& on_loaded = {});

  // By name or "sha256:..." digest; empty: the only one. Throws c10::ValueError (ambiguous or none) or
  // std::out_of_range (no such thing, message names it and what there is).
  const ModelArtifact& Model(const std::string& name) const;
  // Empty name: the only dictionary of `model` (a name; empty: of any model).
  const DictionaryArtifact& Dictionary(const std::string& name, const std::string& model) const;
  // Empty name: the only head of `model` (a name; empty: of any model).
  const HeadArtifact& Head(const std::string& name, const std::string& model) const;
  const CorpusArtifact& Corpus(const std::string& name) const;

  const std::vector<ModelArtifact>& models() const { return models_; }
  const std::vector<DictionaryArtifact>& dictionaries() const { return dictionaries_; }
  const std::vector<HeadArtifact>& heads() const { return heads_; }
  const std::vector<CorpusArtifact>& corpora() const { return corpora_; }

 private:
  std::vector<ModelArtifact> models_;
  std::vector<DictionaryArtifact> dictionaries_;
  std::vector<HeadArtifact> heads_;
  std::vector<CorpusArtifact> corpora_;
};

}  // namespace lifescope
