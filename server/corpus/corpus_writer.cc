#include <c10/util/Exception.h>

#include <algorithm>
#include <utility>

#include "server/artifact/artifact.h"
#include "server/artifact/output_file.h"
#include "server/corpus/corpus.h"
#include "server/corpus/corpus_manifest.h"

namespace lifescope {
namespace {

template <typename T, typename Value>
void AppendAs(const std::vector<Value>& values, OutputFile& file) {
  std::string bytes;
  bytes.reserve(values.size() * sizeof(T));
  for (const Value& value : values) {
    const T narrow = static_cast<T>(value);
    bytes.append(reinterpret_cast<const char*>(&narrow), sizeof(T));
  }
  file.Append(bytes);
}

template <typename T>
void AppendOne(T value, OutputFile& file) {
  file.Append({reinterpret_cast<const char*>(&value), sizeof(T)});
}

// Reads the ids back, so that they take memory only here.
void CheckDistinctPersons(const std::string& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::Open(path);
  const auto* first = reinterpret_cast<const int64_t*>(file->data());
  std::vector<int64_t> ids(first, first + file->size() / sizeof(int64_t));
  std::sort(ids.begin(), ids.end());
  const auto twice = std::adjacent_find(ids.begin(), ids.end());
  TORCH_CHECK_VALUE(twice == ids.end(), "person ", twice == ids.end() ? 0 : *twice, ": was written twice");
}

void CheckDocument(const Document& document, int64_t max_length, int32_t vocabulary_size) {
  const int64_t person = document.person_id;
  const size_t rows = document.token.size();
  TORCH_CHECK_VALUE(rows > 0, "person ", person, ": the document is empty");
  TORCH_CHECK_VALUE(document.length() <= max_length, "person ", person, ": the document has ", rows,
                    " tokens, expected at most ", max_length);
  TORCH_CHECK_VALUE(document.abspos.size() == rows && document.age.size() == rows && document.segment.size() == rows &&
                        document.event.size() == rows,
                    "person ", person, ": token, abspos, age, segment and event differ in length");
  for (size_t row = 0; row < rows; ++row) {
    TORCH_CHECK_VALUE(document.token[row] >= 0 && document.token[row] < vocabulary_size, "person ", person, ": token ",
                      document.token[row], " at row ", row, ", expected 0 to ", vocabulary_size - 1);
    TORCH_CHECK_VALUE(document.segment[row] >= 0 && document.segment[row] <= 3, "person ", person, ": segment ",
                      document.segment[row], " at row ", row, ", expected 0 to 3");
    TORCH_CHECK_VALUE(document.age[row] >= INT16_MIN && document.age[row] <= INT16_MAX, "person ", person, ": age ",
                      document.age[row], " at row ", row, ", expected a number of years");
    const int32_t before = row == 0 ? 0 : document.event[row - 1];
    TORCH_CHECK_VALUE(document.event[row] == before || (row > 0 && document.event[row] == before + 1), "person ",
                      person, ": event ", document.event[row], " at row ", row, " after ", before,
                      ", expected numbers that start at 0 and rise by 1");
  }
}

void CheckTraits(const Document& document, const char* kind, const std::vector<int8_t>& values, size_t rows,
                 const std::vector<Trait>& traits) {
  TORCH_CHECK_VALUE(values.size() == rows * traits.size(), "person ", document.person_id, ": ", values.size(), " ",
                    kind, " trait values, expected ", rows, " times ", traits.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const Trait& trait = traits[i % traits.size()];
    TORCH_CHECK_VALUE(values[i] >= -1 && values[i] < static_cast<int64_t>(trait.values.size()), "person ",
                      document.person_id, ": ", kind, " trait ", trait.name, " is ", static_cast<int>(values[i]),
                      ", expected -1 to ", static_cast<int64_t>(trait.values.size()) - 1);
  }
}

}  // namespace

struct CorpusWriter::Impl {
  const std::string folder;
  PartialFolder partial;
  Vocabulary vocabulary;
  TraitListing traits;
  CorpusListing listing;
  std::map<std::string, std::unique_ptr<OutputFile>> arrays;
  bool finished = false;

  explicit Impl(const std::string& place) : folder(place), partial(place) {}

  void StartArrays() {
    std::vector<std::string> names = {"token.i32", "abspos.i32",  "age.i16",    "segment.u8",
                                      "event.i32", "offsets.i64", "person.i64", "split.u8"};
    if (HasTraits()) names.insert(names.end(), {"person_traits.i8", "event_traits.i8"});
    for (const std::string& name : names) arrays[name] = std::make_unique<OutputFile>(partial.path() + "/" + name);
    AppendOne<int64_t>(0, *arrays["offsets.i64"]);
  }

  bool HasTraits() const { return !traits.person.empty() || !traits.event.empty(); }

  void FinishFiles() {
    for (auto& [name, file] : arrays) listing.files[name] = file->Finish();
    arrays.clear();
    CheckDistinctPersons(partial.path() + "/person.i64");
    WriteText(kVocabularyFile, vocabulary.ToTsv());
    if (HasTraits()) WriteText(kTraitsFile, ToJson(traits));
    WriteFileAtomically(partial.path() + "/" + kManifestFile, ToJson(listing));
  }

  void WriteText(const std::string& name, std::string_view text) {
    WriteFileAtomically(partial.path() + "/" + name, text);
    listing.files[name] = {static_cast<int64_t>(text.size()), Sha256(text)};
  }
};

CorpusWriter::CorpusWriter(const std::string& folder, Vocabulary vocabulary, int64_t max_length, Date reference_date,
                           std::string origin, std::vector<Trait> person_traits, std::vector<Trait> event_traits) {
  TORCH_CHECK_VALUE(max_length > 0, "max_length is ", max_length, ", expected a positive number");
  impl_ = std::make_unique<Impl>(folder);
  impl_->vocabulary = std::move(vocabulary);
  impl_->traits = {std::move(person_traits), std::move(event_traits)};
  impl_->listing.manifest.max_length = max_length;
  impl_->listing.manifest.reference_date = reference_date;
  impl_->listing.manifest.origin = std::move(origin);
  impl_->StartArrays();
}

CorpusWriter::~CorpusWriter() = default;

void CorpusWriter::Add(const Document& document, Split split, int64_t clipped_event_count,
                       const std::vector<int8_t>& person_trait_values, const std::vector<int8_t>& event_trait_values) {
  CorpusManifest& manifest = impl_->listing.manifest;
  TORCH_CHECK_VALUE(!impl_->finished, impl_->folder, ": is finished; nothing can be added");
  CheckDocument(document, manifest.max_length, impl_->vocabulary.size());
  CheckTraits(document, "person", person_trait_values, 1, impl_->traits.person);
  CheckTraits(document, "event", event_trait_values, static_cast<size_t>(document.event_count()), impl_->traits.event);

  manifest.person_count += 1;
  manifest.token_count += document.length();
  manifest.event_count += document.event_count();
  manifest.clipped_person_count += clipped_event_count > 0 ? 1 : 0;
  manifest.split_person_counts[static_cast<int>(split)] += 1;
  auto& arrays = impl_->arrays;
  AppendAs<int32_t>(document.token, *arrays["token.i32"]);
  AppendAs<int32_t>(document.abspos, *arrays["abspos.i32"]);
  AppendAs<int16_t>(document.age, *arrays["age.i16"]);
  AppendAs<uint8_t>(document.segment, *arrays["segment.u8"]);
  AppendAs<int32_t>(document.event, *arrays["event.i32"]);
  AppendOne<int64_t>(manifest.token_count, *arrays["offsets.i64"]);
  AppendOne<int64_t>(document.person_id, *arrays["person.i64"]);
  AppendOne<uint8_t>(static_cast<uint8_t>(split), *arrays["split.u8"]);
  if (impl_->HasTraits()) {
    AppendAs<int8_t>(person_trait_values, *arrays["person_traits.i8"]);
    AppendAs<int8_t>(event_trait_values, *arrays["event_traits.i8"]);
  }
}

void CorpusWriter::AddFile(const std::string& name, std::string_view text) { impl_->WriteText(name, text); }

void CorpusWriter::Finish() {
  TORCH_CHECK_VALUE(!impl_->finished, impl_->folder, ": is finished already");
  TORCH_CHECK_VALUE(impl_->listing.manifest.person_count > 0, impl_->folder, ": no document was added");
  impl_->FinishFiles();
  impl_->partial.Publish();
  impl_->finished = true;
}

}  // namespace lifescope
