// Opening a dictionary of a home to be judged, with every model that it reads or predicts.
#pragma once

#include <string>
#include <vector>

#include "server/command/home.h"
#include "server/evaluation/dictionary_sites.h"

namespace lifescope {

struct OpenedSites {
  LoadedDictionary dictionary;
  // That of its file first; of a crosscoder over several models, the others too. All of the corpus' vocabulary.
  std::vector<OpenedModel> models;
  OpenedCorpus corpus;
  DictionarySites sites;  // of these models
};

// Throws c10::ValueError: no such dictionary, model or corpus; another vocabulary; a transcoder whose file does not say
// what it predicts.
OpenedSites OpenSites(const std::string& home, const std::string& dictionary, const std::string& corpus);

}  // namespace lifescope
