// A corpus on disk: documents, their vocabulary and, where known, the hidden traits behind them.
//
// A folder: corpus.json (manifest with counts, SHA-256 of every file), vocab.tsv, flat little-endian arrays
// (token.i32, abspos.i32, age.i16, segment.u8, event.i32, offsets.i64, person.i64, split.u8), and for a synthetic
// world traits.json with person_traits.i8 and event_traits.i8, for imported tables import.json (how it was made).
// Immutable; its digest is the SHA-256 of corpus.json.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/artifact/artifact.h"
#include "server/corpus/calendar.h"
#include "server/corpus/document.h"
#include "server/corpus/vocabulary.h"

namespace lifescope {

enum class Split : uint8_t { kTrain = 0, kValidation = 1, kTest = 2 };

// A categorical property of persons or of events whose truth is known.
struct Trait {
  std::string name;                 // "sector"
  std::vector<std::string> values;  // "agriculture", ...
};

// What a corpus says of itself.
struct CorpusManifest {
  int64_t person_count = 0;
  int64_t token_count = 0;
  int64_t event_count = 0;
  int64_t max_length = 0;
  Date reference_date;
  // How it was made: "synthetic world, seed 7" or the import's description.
  std::string origin;
  int64_t clipped_person_count = 0;
  int64_t split_person_counts[3] = {0, 0, 0};
};

// A memory-mapped corpus. Immutable and thread-safe.
class Corpus {
 public:
  // Throws c10::ValueError naming the file and the fault: missing file, wrong size, a token outside the vocabulary,
  // offsets that do not ascend, event numbers that skip. `verify_digests` also reads every byte against the manifest.
  static std::shared_ptr<const Corpus> Open(const std::string& folder, bool verify_digests = false);

  const std::string& digest() const { return digest_; }
  const CorpusManifest& manifest() const { return manifest_; }
  const Vocabulary& vocabulary() const { return vocabulary_; }

  int64_t size() const { return manifest_.person_count; }
  int64_t person_id(int64_t index) const;
  Split split(int64_t index) const;
  // Indices of a split's persons, ascending.
  std::vector<int64_t> DocumentsOf(Split split) const;
  int64_t length(int64_t index) const;
  int32_t event_count(int64_t index) const;
  // A copy of one document.
  Document DocumentAt(int64_t index) const;
  // Index of a person.
  std::optional<int64_t> Find(int64_t person_id) const;

  // Hidden traits; empty when the corpus has none.
  const std::vector<Trait>& person_traits() const { return person_traits_; }
  const std::vector<Trait>& event_traits() const { return event_traits_; }
  // Value index of a trait, -1 where it does not apply. Events are numbered 1 .. event_count() of the document.
  int8_t PersonTrait(int64_t index, int64_t trait) const;
  int8_t EventTrait(int64_t index, int32_t event, int64_t trait) const;

 private:
  class Folder;
  Corpus() = default;
  void OpenRows(const Folder& folder);
  void IndexPersons(const std::string& path);
  void OpenTraits(const Folder& folder);

  std::string digest_;
  CorpusManifest manifest_;
  Vocabulary vocabulary_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
  const int32_t* token_ = nullptr;
  const int32_t* abspos_ = nullptr;
  const int16_t* age_ = nullptr;
  const uint8_t* segment_ = nullptr;
  const int32_t* event_ = nullptr;
  const int64_t* offsets_ = nullptr;
  const int64_t* person_ = nullptr;
  const uint8_t* split_ = nullptr;
  std::vector<Trait> person_traits_, event_traits_;
  const int8_t* person_trait_values_ = nullptr;
  const int8_t* event_trait_values_ = nullptr;
  std::vector<int64_t> event_offsets_;
  std::vector<int64_t> by_person_;  // indices, in ascending order of person id
};

// Writes a corpus folder: rows are streamed to a hidden folder beside it (PartialFolder), which is renamed at the end,
// so that a stopped writer leaves no corpus. Memory does not grow with the documents. Not thread-safe.
class CorpusWriter {
 public:
  // Throws c10::ValueError as PartialFolder.
  CorpusWriter(const std::string& folder, Vocabulary vocabulary, int64_t max_length, Date reference_date,
               std::string origin, std::vector<Trait> person_traits = {}, std::vector<Trait> event_traits = {});
  ~CorpusWriter();

  // `event_trait_values` holds event_count() * event_traits.size() values, event by event. Throws c10::ValueError on a
  // document that does not fit max_length or has rows that cannot be.
  void Add(const Document& document, Split split, int64_t clipped_event_count = 0,
           const std::vector<int8_t>& person_trait_values = {}, const std::vector<int8_t>& event_trait_values = {});
  // A further file of the corpus, which its digest covers.
  void AddFile(const std::string& name, std::string_view text);
  // Makes the corpus visible, on disk when it returns. Throws c10::ValueError when nothing was added or a person was
  // added twice.
  void Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lifescope
