#include "server/corpus/corpus.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

#include "server/corpus/corpus_manifest.h"

namespace lifescope {
namespace {

static_assert(std::endian::native == std::endian::little, "corpus arrays are little-endian");

void CheckCounts(const std::string& path, const CorpusManifest& manifest) {
  TORCH_CHECK_VALUE(manifest.person_count > 0, path, ": person_count is ", manifest.person_count,
                    ", expected at least 1");
  TORCH_CHECK_VALUE(manifest.token_count > 0 && manifest.event_count >= 0 && manifest.max_length > 0, path,
                    ": token_count ", manifest.token_count, ", event_count ", manifest.event_count, ", max_length ",
                    manifest.max_length, ": expected positive numbers");
  int64_t sum = 0;
  for (const int64_t count : manifest.split_person_counts) sum += count;
  TORCH_CHECK_VALUE(sum == manifest.person_count, path, ": split_person_counts sum to ", sum, ", expected ",
                    manifest.person_count);
}

void CheckOffsets(const std::string& path, const int64_t* offsets, const CorpusManifest& manifest) {
  TORCH_CHECK_VALUE(offsets[0] == 0, path, ": the first offset is ", offsets[0], ", expected 0");
  for (int64_t i = 0; i < manifest.person_count; ++i) {
    const int64_t length = offsets[i + 1] - offsets[i];
    TORCH_CHECK_VALUE(length > 0 && length <= manifest.max_length, path, ": document ", i, " has ", length,
                      " rows, expected 1 to ", manifest.max_length);
  }
  TORCH_CHECK_VALUE(offsets[manifest.person_count] == manifest.token_count, path, ": the last offset is ",
                    offsets[manifest.person_count], ", expected ", manifest.token_count);
}

void CheckTraitValues(const std::string& path, const int8_t* values, int64_t rows, const std::vector<Trait>& traits) {
  const int64_t columns = static_cast<int64_t>(traits.size());
  for (int64_t i = 0; i < rows * columns; ++i) {
    const Trait& trait = traits[static_cast<size_t>(i % columns)];
    TORCH_CHECK_VALUE(values[i] >= -1 && values[i] < static_cast<int64_t>(trait.values.size()), path, ": row ",
                      i / columns, ": ", trait.name, " is ", static_cast<int>(values[i]), ", expected -1 to ",
                      static_cast<int64_t>(trait.values.size()) - 1);
  }
}

void CheckTokens(const std::string& path, const int32_t* token, int64_t rows, int32_t vocabulary_size) {
  for (int64_t row = 0; row < rows; ++row) {
    TORCH_CHECK_VALUE(token[row] >= 0 && token[row] < vocabulary_size, path, ": row ", row, ": token ", token[row],
                      ", expected 0 to ", vocabulary_size - 1, " (", kVocabularyFile, ")");
  }
}

void CheckSegments(const std::string& path, const uint8_t* segment, int64_t rows) {
  for (int64_t row = 0; row < rows; ++row) {
    TORCH_CHECK_VALUE(segment[row] <= 3, path, ": row ", row, ": segment ", static_cast<int>(segment[row]),
                      ", expected 0 to 3");
  }
}

// Gives the running sum of event counts.
std::vector<int64_t> CheckEvents(const std::string& path, const int32_t* event, const CorpusManifest& manifest,
                                 const int64_t* offsets) {
  std::vector<int64_t> event_offsets = {0};
  event_offsets.reserve(static_cast<size_t>(manifest.person_count) + 1);
  for (int64_t i = 0; i < manifest.person_count; ++i) {
    int32_t number = 0;
    for (int64_t row = offsets[i]; row < offsets[i + 1]; ++row) {
      TORCH_CHECK_VALUE(event[row] == number || (event[row] == number + 1 && row > offsets[i]), path, ": row ", row,
                        ": event ", event[row], " after ", number, ", expected numbers that start at 0 and rise by 1");
      number = event[row];
    }
    event_offsets.push_back(event_offsets.back() + number);
  }
  TORCH_CHECK_VALUE(event_offsets.back() == manifest.event_count, path, ": ", event_offsets.back(),
                    " events, expected ", manifest.event_count);
  return event_offsets;
}

}  // namespace

// Maps the files that a corpus.json lists, checking what it says of them.
class Corpus::Folder {
 public:
  Folder(std::string path, const CorpusListing& listing, bool verify_digests)
      : path_(std::move(path)), listing_(listing), verify_digests_(verify_digests) {}

  const std::string& path() const { return path_; }
  std::string PathOf(const std::string& name) const { return path_ + "/" + name; }
  bool Lists(const std::string& name) const { return listing_.files.count(name) != 0; }

  std::shared_ptr<const MappedFile> Map(const std::string& name) const {
    const auto listed = listing_.files.find(name);
    TORCH_CHECK_VALUE(listed != listing_.files.end(), PathOf(kManifestFile), ": files has no ", name);
    std::shared_ptr<const MappedFile> file = MappedFile::Open(PathOf(name));
    TORCH_CHECK_VALUE(static_cast<int64_t>(file->size()) == listed->second.bytes, PathOf(name), ": ", file->size(),
                      " bytes, expected ", listed->second.bytes, " (", kManifestFile, ")");
    if (verify_digests_) {
      const std::string found = Sha256OfFile(PathOf(name));
      TORCH_CHECK_VALUE(found == listed->second.sha256, PathOf(name), ": its bytes have ", found, ", expected ",
                        listed->second.sha256, " (", kManifestFile, ")");
    }
    return file;
  }

  // `count` elements of a flat array, which `check` has seen; the mapping is kept in `files`. What the check read is
  // released, so that a corpus is checked in the memory of its largest array at most.
  template <typename T, typename Check>
  const T* Array(const std::string& name, int64_t count, std::vector<std::shared_ptr<const MappedFile>>* files,
                 const Check& check) const {
    files->push_back(Map(name));
    const MappedFile& file = *files->back();
    const int64_t element = static_cast<int64_t>(sizeof(T));
    TORCH_CHECK_VALUE(static_cast<int64_t>(file.size()) / element == count && file.size() % sizeof(T) == 0,
                      PathOf(name), ": ", file.size(), " bytes, expected ", count, " elements of ", element, " bytes");
    const T* values = reinterpret_cast<const T*>(file.data());
    check(PathOf(name), values);
    file.ReleasePages();
    return values;
  }

  template <typename T>
  const T* Array(const std::string& name, int64_t count, std::vector<std::shared_ptr<const MappedFile>>* files) const {
    return Array<T>(name, count, files, [](const std::string&, const T*) {});
  }

 private:
  std::string path_;
  const CorpusListing& listing_;
  bool verify_digests_;
};

std::shared_ptr<const Corpus> Corpus::Open(const std::string& path, bool verify_digests) {
  const std::string manifest_path = path + "/" + kManifestFile;
  const std::string manifest_text = ReadFile(manifest_path);
  const CorpusListing listing = ParseCorpusListing(manifest_path, manifest_text);
  CheckCounts(manifest_path, listing.manifest);
  const Folder folder(path, listing, verify_digests);

  const std::shared_ptr<Corpus> corpus(new Corpus());
  corpus->digest_ = Sha256(manifest_text);
  corpus->manifest_ = listing.manifest;
  folder.Map(kVocabularyFile);
  corpus->vocabulary_ = Vocabulary::Load(folder.PathOf(kVocabularyFile));
  corpus->OpenRows(folder);
  if (folder.Lists(kTraitsFile)) corpus->OpenTraits(folder);
  return corpus;
}

void Corpus::OpenRows(const Folder& folder) {
  const int64_t persons = manifest_.person_count, rows = manifest_.token_count;
  offsets_ = folder.Array<int64_t>(
      "offsets.i64", persons + 1, &files_,
      [&](const std::string& path, const int64_t* offsets) { CheckOffsets(path, offsets, manifest_); });
  token_ = folder.Array<int32_t>("token.i32", rows, &files_, [&](const std::string& path, const int32_t* token) {
    CheckTokens(path, token, rows, vocabulary_.size());
  });
  abspos_ = folder.Array<int32_t>("abspos.i32", rows, &files_);
  age_ = folder.Array<int16_t>("age.i16", rows, &files_);
  segment_ = folder.Array<uint8_t>("segment.u8", rows, &files_, [&](const std::string& path, const uint8_t* segment) {
    CheckSegments(path, segment, rows);
  });
  event_ = folder.Array<int32_t>("event.i32", rows, &files_, [&](const std::string& path, const int32_t* event) {
    event_offsets_ = CheckEvents(path, event, manifest_, offsets_);
  });
  split_ = folder.Array<uint8_t>("split.u8", persons, &files_, [&](const std::string& path, const uint8_t* split) {
    for (int64_t i = 0; i < persons; ++i) {
      TORCH_CHECK_VALUE(split[i] <= 2, path, ": document ", i, ": split ", static_cast<int>(split[i]),
                        ", expected 0, 1 or 2");
    }
  });
  person_ = folder.Array<int64_t>("person.i64", persons, &files_);
  IndexPersons(folder.PathOf("person.i64"));
}

void Corpus::IndexPersons(const std::string& path) {
  by_person_.resize(static_cast<size_t>(size()));
  std::iota(by_person_.begin(), by_person_.end(), int64_t{0});
  std::sort(by_person_.begin(), by_person_.end(), [&](int64_t a, int64_t b) { return person_[a] < person_[b]; });
  for (size_t i = 1; i < by_person_.size(); ++i) {
    const int64_t person = person_[by_person_[i]];
    TORCH_CHECK_VALUE(person != person_[by_person_[i - 1]], path, ": person ", person, " appears twice");
  }
}

void Corpus::OpenTraits(const Folder& folder) {
  folder.Map(kTraitsFile);
  TraitListing traits = ParseTraitListing(folder.PathOf(kTraitsFile), ReadFile(folder.PathOf(kTraitsFile)));
  person_traits_ = std::move(traits.person);
  event_traits_ = std::move(traits.event);
  const int64_t persons = manifest_.person_count, events = manifest_.event_count;
  person_trait_values_ =
      folder.Array<int8_t>("person_traits.i8", persons * static_cast<int64_t>(person_traits_.size()), &files_);
  event_trait_values_ =
      folder.Array<int8_t>("event_traits.i8", events * static_cast<int64_t>(event_traits_.size()), &files_);
  CheckTraitValues(folder.PathOf("person_traits.i8"), person_trait_values_, persons, person_traits_);
  CheckTraitValues(folder.PathOf("event_traits.i8"), event_trait_values_, events, event_traits_);
}

int64_t Corpus::person_id(int64_t index) const {
  TORCH_CHECK_INDEX(index >= 0 && index < size(), "document ", index, ", expected 0 to ", size() - 1);
  return person_[index];
}

Split Corpus::split(int64_t index) const {
  TORCH_CHECK_INDEX(index >= 0 && index < size(), "document ", index, ", expected 0 to ", size() - 1);
  return static_cast<Split>(split_[index]);
}

std::vector<int64_t> Corpus::DocumentsOf(Split split) const {
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < size(); ++i) {
    if (this->split(i) == split) indices.push_back(i);
  }
  return indices;
}

int64_t Corpus::length(int64_t index) const {
  TORCH_CHECK_INDEX(index >= 0 && index < size(), "document ", index, ", expected 0 to ", size() - 1);
  return offsets_[index + 1] - offsets_[index];
}

int32_t Corpus::event_count(int64_t index) const {
  TORCH_CHECK_INDEX(index >= 0 && index < size(), "document ", index, ", expected 0 to ", size() - 1);
  return static_cast<int32_t>(event_offsets_[index + 1] - event_offsets_[index]);
}

Document Corpus::DocumentAt(int64_t index) const {
  Document document;
  document.person_id = person_id(index);
  const int64_t begin = offsets_[index], end = offsets_[index + 1];
  document.token.assign(token_ + begin, token_ + end);
  document.abspos.assign(abspos_ + begin, abspos_ + end);
  document.age.assign(age_ + begin, age_ + end);
  document.segment.assign(segment_ + begin, segment_ + end);
  document.event.assign(event_ + begin, event_ + end);
  return document;
}

std::optional<int64_t> Corpus::Find(int64_t person_id) const {
  const auto found = std::lower_bound(by_person_.begin(), by_person_.end(), person_id,
                                      [&](int64_t index, int64_t id) { return person_[index] < id; });
  if (found == by_person_.end() || person_[*found] != person_id) return std::nullopt;
  return *found;
}

int8_t Corpus::PersonTrait(int64_t index, int64_t trait) const {
  const int64_t traits = static_cast<int64_t>(person_traits_.size());
  TORCH_CHECK_INDEX(index >= 0 && index < size(), "document ", index, ", expected 0 to ", size() - 1);
  TORCH_CHECK_INDEX(trait >= 0 && trait < traits, "person trait ", trait, ", expected 0 to ", traits - 1);
  return person_trait_values_[index * traits + trait];
}

int8_t Corpus::EventTrait(int64_t index, int32_t event, int64_t trait) const {
  const int64_t traits = static_cast<int64_t>(event_traits_.size());
  TORCH_CHECK_INDEX(index >= 0 && index < size(), "document ", index, ", expected 0 to ", size() - 1);
  const int64_t events = event_offsets_[index + 1] - event_offsets_[index];
  TORCH_CHECK_INDEX(event >= 1 && event <= events, "document ", index, ": event ", event, ", expected 1 to ", events);
  TORCH_CHECK_INDEX(trait >= 0 && trait < traits, "event trait ", trait, ", expected 0 to ", traits - 1);
  return event_trait_values_[(event_offsets_[index] + event - 1) * traits + trait];
}

}  // namespace lifescope
