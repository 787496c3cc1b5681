// The text files of a corpus folder: corpus.json and traits.json. Shared by the writer and the reader.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "server/artifact/output_file.h"
#include "server/corpus/corpus.h"

namespace lifescope {

inline constexpr char kManifestFile[] = "corpus.json";
inline constexpr char kVocabularyFile[] = "vocab.tsv";
inline constexpr char kTraitsFile[] = "traits.json";

struct CorpusListing {
  CorpusManifest manifest;
  std::map<std::string, FileDigest> files;  // every file of the folder but corpus.json
};

struct TraitListing {
  std::vector<Trait> person;
  std::vector<Trait> event;
};

// Canonical (sorted keys, no time, no path): the same corpus gives the same bytes.
std::string ToJson(const CorpusListing& listing);
std::string ToJson(const TraitListing& traits);

// Throw c10::ValueError naming `path` and the fault.
CorpusListing ParseCorpusListing(const std::string& path, const std::string& text);
TraitListing ParseTraitListing(const std::string& path, const std::string& text);

}  // namespace lifescope
