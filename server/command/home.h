// The home folder of the batch verbs: models, dictionaries, heads, corpora, labels and activations, each <kind>/<name>,
// and lifescope.db.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "server/corpus/corpus.h"
#include "server/corpus/label_table.h"
#include "server/dictionary/dictionary.h"
#include "server/model/transformer.h"

namespace lifescope {

// --home, from LIFESCOPE_HOME when it is not given; required.
void AddHomeOption(CLI::App& verb, std::string& home);
// --threads, from OMP_NUM_THREADS; 0: every CPU that the process may use.
void AddThreadsOption(CLI::App& verb, int32_t& threads);
// Makes the process ready for long compute on that many threads; returns their number.
int32_t PrepareCompute(int32_t threads);

// Throw c10::ValueError when the name is not letters, digits, '.', '_' and '-', or starts with '.'.
std::string ModelFolder(const std::string& home, const std::string& name);
std::string DictionaryFolder(const std::string& home, const std::string& name);
std::string HeadFolder(const std::string& home, const std::string& name);
std::string CorpusFolder(const std::string& home, const std::string& name);
std::string LabelFolder(const std::string& home, const std::string& name);
std::string ActivationsFolder(const std::string& home, const std::string& name);
// What evaluate and compare write.
std::string CardFolder(const std::string& home, const std::string& name);
std::string ComparisonFolder(const std::string& home, const std::string& name);
// Where train-sae keeps what an unfinished run needs to go on.
std::string CheckpointFile(const std::string& home, const std::string& dictionary);
// The store of a home that no other was chosen for.
std::string DefaultStoreUrl(const std::string& home);

// Checks that an artefact can be made there and makes the folder above it. Throws c10::ValueError when the folder
// exists: artefacts are never overwritten.
void PrepareNewArtifact(const std::string& folder);

struct OpenedModel {
  std::string name;
  std::string digest;
  std::shared_ptr<const Transformer> transformer;
  Vocabulary vocabulary;
};
struct OpenedCorpus {
  std::string name;
  std::shared_ptr<const Corpus> corpus;
};
// In float32 on the CPU. Throw c10::ValueError naming what is missing and what there is.
OpenedModel OpenModel(const std::string& home, const std::string& name);
OpenedCorpus OpenCorpus(const std::string& home, const std::string& name);
std::shared_ptr<const LabelTable> OpenLabels(const std::string& home, const std::string& name,
                                             const OpenedCorpus& corpus);
LoadedDictionary OpenDictionary(const std::string& home, const std::string& name);

// Throws c10::ValueError when the model was trained on another vocabulary.
void CheckSameVocabulary(const OpenedModel& model, const OpenedCorpus& corpus);

// A dictionary, the model that it reads, and a corpus of the model's vocabulary.
struct OpenedScan {
  LoadedDictionary dictionary;
  HookPoint hook_point;
  OpenedModel model;
  OpenedCorpus corpus;
};
OpenedScan OpenScan(const std::string& home, const std::string& dictionary, const std::string& corpus);

}  // namespace lifescope
