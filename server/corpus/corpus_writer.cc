#include <c10/util/Exception.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "server/artifact/artifact.h"
#include "server/corpus/corpus.h"
#include "server/corpus/corpus_manifest.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;

std::string Reason(int error) { return std::generic_category().message(error); }

// A file written from front to back.
class OutputFile {
 public:
  explicit OutputFile(std::string path)
      : path_(std::move(path)), fd_(open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
    TORCH_CHECK_VALUE(fd_ >= 0, path_, ": cannot be created: ", Reason(errno));
  }
  ~OutputFile() {
    if (fd_ >= 0) close(fd_);
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  template <typename T, typename Value>
  void Append(const std::vector<Value>& values) {
    for (const Value& value : values) {
      const T narrow = static_cast<T>(value);
      buffer_.append(reinterpret_cast<const char*>(&narrow), sizeof(T));
    }
    if (buffer_.size() >= kBufferSize) Flush();
  }

  // Writes what is buffered and waits until the disk has it.
  void Finish() {
    Flush();
    TORCH_CHECK_VALUE(fsync(fd_) == 0, path_, ": cannot be synced: ", Reason(errno));
  }

 private:
  static constexpr size_t kBufferSize = 1 << 18;

  void Flush() {
    size_t done = 0;
    while (done < buffer_.size()) {
      const ssize_t written = write(fd_, buffer_.data() + done, buffer_.size() - done);
      if (written < 0 && errno == EINTR) continue;
      TORCH_CHECK_VALUE(written > 0, path_, ": cannot be written: ", Reason(errno));
      done += static_cast<size_t>(written);
    }
    buffer_.clear();
  }

  std::string path_;
  int fd_;
  std::string buffer_;
};

void SyncFolder(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = fd >= 0 && fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) close(fd);
  TORCH_CHECK_VALUE(synced, path, ": cannot be synced: ", Reason(error));
}

// "corpora/world/" -> "corpora/world".
std::string WithoutTrailingSlash(std::string folder) {
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  return folder;
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
  std::string folder;
  std::string partial;
  Vocabulary vocabulary;
  TraitListing traits;
  CorpusListing listing;
  std::map<std::string, std::unique_ptr<OutputFile>> arrays;
  std::unordered_set<int64_t> persons;
  bool created = false, finished = false;

  ~Impl() {
    if (!created || finished) return;
    arrays.clear();
    std::error_code ignored;
    fs::remove_all(partial, ignored);
  }

  // Starts files in the temporary folder. One that a killed process of the same number left is in the way: remove it.
  void Create() {
    TORCH_CHECK_VALUE(!fs::exists(folder), folder, ": exists already; a corpus is never changed");
    fs::remove_all(partial);
    std::error_code error;
    fs::create_directories(partial, error);
    TORCH_CHECK_VALUE(!error, partial, ": cannot be created: ", error.message());
    created = true;
    std::vector<std::string> names = {"token.i32", "abspos.i32",  "age.i16",    "segment.u8",
                                      "event.i32", "offsets.i64", "person.i64", "split.u8"};
    if (HasTraits()) names.insert(names.end(), {"person_traits.i8", "event_traits.i8"});
    for (const std::string& name : names) arrays[name] = std::make_unique<OutputFile>(partial + "/" + name);
    arrays["offsets.i64"]->Append<int64_t>(std::vector<int64_t>{0});
  }

  bool HasTraits() const { return !traits.person.empty() || !traits.event.empty(); }

  void FinishFiles() {
    for (auto& [name, file] : arrays) file->Finish();
    std::vector<std::string> names;
    for (const auto& [name, file] : arrays) names.push_back(name);
    arrays.clear();
    WriteFileAtomically(partial + "/" + kVocabularyFile, vocabulary.ToTsv());
    names.push_back(kVocabularyFile);
    if (HasTraits()) {
      WriteFileAtomically(partial + "/" + kTraitsFile, ToJson(traits));
      names.push_back(kTraitsFile);
    }
    for (const std::string& name : names) {
      const std::string path = partial + "/" + name;
      listing.files[name] = {static_cast<int64_t>(fs::file_size(path)), Sha256OfFile(path)};
    }
    WriteFileAtomically(partial + "/" + kManifestFile, ToJson(listing));
  }
};

CorpusWriter::CorpusWriter(std::string folder, Vocabulary vocabulary, int64_t max_length, Date reference_date,
                           std::string origin, std::vector<Trait> person_traits, std::vector<Trait> event_traits)
    : impl_(std::make_unique<Impl>()) {
  TORCH_CHECK_VALUE(max_length > 0, "max_length is ", max_length, ", expected a positive number");
  impl_->folder = WithoutTrailingSlash(std::move(folder));
  impl_->partial = impl_->folder + ".partial-" + std::to_string(getpid());
  impl_->vocabulary = std::move(vocabulary);
  impl_->traits = {std::move(person_traits), std::move(event_traits)};
  impl_->listing.manifest.max_length = max_length;
  impl_->listing.manifest.reference_date = reference_date;
  impl_->listing.manifest.origin = std::move(origin);
  impl_->Create();
}

CorpusWriter::~CorpusWriter() = default;

void CorpusWriter::Add(const Document& document, Split split, int64_t clipped_event_count,
                       const std::vector<int8_t>& person_trait_values, const std::vector<int8_t>& event_trait_values) {
  CorpusManifest& manifest = impl_->listing.manifest;
  TORCH_CHECK_VALUE(!impl_->finished, impl_->folder, ": is finished; nothing can be added");
  CheckDocument(document, manifest.max_length, impl_->vocabulary.size());
  CheckTraits(document, "person", person_trait_values, 1, impl_->traits.person);
  CheckTraits(document, "event", event_trait_values, static_cast<size_t>(document.event_count()), impl_->traits.event);
  TORCH_CHECK_VALUE(impl_->persons.insert(document.person_id).second, "person ", document.person_id,
                    ": was written before");

  manifest.person_count += 1;
  manifest.token_count += document.length();
  manifest.event_count += document.event_count();
  manifest.clipped_person_count += clipped_event_count > 0 ? 1 : 0;
  manifest.split_person_counts[static_cast<int>(split)] += 1;
  auto& arrays = impl_->arrays;
  arrays["token.i32"]->Append<int32_t>(document.token);
  arrays["abspos.i32"]->Append<int32_t>(document.abspos);
  arrays["age.i16"]->Append<int16_t>(document.age);
  arrays["segment.u8"]->Append<uint8_t>(document.segment);
  arrays["event.i32"]->Append<int32_t>(document.event);
  arrays["offsets.i64"]->Append<int64_t>(std::vector<int64_t>{manifest.token_count});
  arrays["person.i64"]->Append<int64_t>(std::vector<int64_t>{document.person_id});
  arrays["split.u8"]->Append<uint8_t>(std::vector<uint8_t>{static_cast<uint8_t>(split)});
  if (impl_->HasTraits()) {
    arrays["person_traits.i8"]->Append<int8_t>(person_trait_values);
    arrays["event_traits.i8"]->Append<int8_t>(event_trait_values);
  }
}

void CorpusWriter::Finish() {
  TORCH_CHECK_VALUE(!impl_->finished, impl_->folder, ": is finished already");
  TORCH_CHECK_VALUE(impl_->listing.manifest.person_count > 0, impl_->folder, ": no document was added");
  impl_->FinishFiles();
  TORCH_CHECK_VALUE(!fs::exists(impl_->folder), impl_->folder, ": exists already; a corpus is never changed");
  std::error_code error;
  fs::rename(impl_->partial, impl_->folder, error);
  TORCH_CHECK_VALUE(!error, impl_->folder, ": cannot be put in place: ", error.message());
  impl_->finished = true;
  const std::string parent = fs::path(impl_->folder).parent_path();
  SyncFolder(parent.empty() ? "." : parent);
}

}  // namespace lifescope
