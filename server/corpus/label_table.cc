#include "server/corpus/label_table.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "server/corpus/label_manifest.h"

namespace lifescope {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

template <typename T>
T ElementAt(const MappedFile& file, int64_t row) {
  T value;
  std::memcpy(&value, file.data() + row * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

std::shared_ptr<const MappedFile> MapColumn(const std::string& folder, const LabelColumn& column,
                                            const FileDigest& listed, int64_t rows, bool verify_digests) {
  const std::string path = folder + "/" + LabelFileName(column);
  std::shared_ptr<const MappedFile> file = MappedFile::Open(path);
  const int64_t bytes = static_cast<int64_t>(file->size());
  TORCH_CHECK_VALUE(bytes == listed.bytes, path, ": ", bytes, " bytes, expected ", listed.bytes, " (",
                    kLabelManifestFile, ")");
  const int64_t element = static_cast<int64_t>(LabelValueSize(column.kind));
  TORCH_CHECK_VALUE(bytes % element == 0 && bytes / element == rows, path, ": ", bytes, " bytes, expected ", rows,
                    " elements of ", element, " bytes");
  if (verify_digests) {
    const std::string found = Sha256OfFile(path);
    TORCH_CHECK_VALUE(found == listed.sha256, path, ": its bytes have ", found, ", expected ", listed.sha256, " (",
                      kLabelManifestFile, ")");
  }
  return file;
}

}  // namespace

const char* ToString(LabelScope scope) {
  switch (scope) {
    case LabelScope::kPerson:
      return "person";
    case LabelScope::kEvent:
      return "event";
    case LabelScope::kToken:
      break;
  }
  return "token";
}

const char* ToString(LabelKind kind) {
  switch (kind) {
    case LabelKind::kBoolean:
      return "boolean";
    case LabelKind::kCategory:
      return "category";
    case LabelKind::kNumber:
      break;
  }
  return "number";
}

std::shared_ptr<const LabelTable> LabelTable::Open(const std::string& folder, const Corpus& corpus,
                                                   bool verify_digests) {
  const std::string path = folder + "/" + kLabelManifestFile;
  const std::string text = ReadFile(path);
  LabelListing listing = ParseLabelListing(path, text);
  TORCH_CHECK_VALUE(listing.corpus_digest == corpus.digest(), path, ": labels of the corpus ", listing.corpus_digest,
                    ", expected ", corpus.digest());
  const std::shared_ptr<LabelTable> table(new LabelTable());
  table->digest_ = Sha256(text);
  table->corpus_digest_ = std::move(listing.corpus_digest);
  table->columns_ = std::move(listing.columns);
  table->event_offsets_ = LabelOffsets(LabelScope::kEvent, corpus);
  table->token_offsets_ = LabelOffsets(LabelScope::kToken, corpus);
  for (size_t c = 0; c < table->columns_.size(); ++c) {
    const LabelColumn& column = table->columns_[c];
    table->files_.push_back(
        MapColumn(folder, column, listing.files[c], LabelRowCount(column.scope, corpus.manifest()), verify_digests));
    for (int64_t row = 0; row < table->row_count(c); ++row) {
      const std::string fault = LabelValueFault(column, table->Row(c, row));
      TORCH_CHECK_VALUE(fault.empty(), folder, "/", LabelFileName(column), ": row ", row, " ", fault);
    }
  }
  return table;
}

std::optional<size_t> LabelTable::Find(std::string_view name) const {
  const auto found =
      std::find_if(columns_.begin(), columns_.end(), [&](const LabelColumn& column) { return column.name == name; });
  if (found == columns_.end()) return std::nullopt;
  return static_cast<size_t>(found - columns_.begin());
}

void LabelTable::CheckAsked(size_t column, LabelScope scope, int64_t person_index) const {
  TORCH_CHECK_INDEX(column < columns_.size(), "label column ", column, ", expected 0 to ", columns_.size() - 1);
  TORCH_CHECK_VALUE(columns_[column].scope == scope, "label column ", columns_[column].name, " is per ",
                    ToString(columns_[column].scope), ", asked per ", ToString(scope));
  const int64_t persons = static_cast<int64_t>(token_offsets_.size()) - 1;
  TORCH_CHECK_INDEX(person_index >= 0 && person_index < persons, "document ", person_index, ", expected 0 to ",
                    persons - 1);
}

double LabelTable::Person(size_t column, int64_t person_index) const {
  CheckAsked(column, LabelScope::kPerson, person_index);
  return Row(column, person_index);
}

double LabelTable::Event(size_t column, int64_t person_index, int32_t event) const {
  CheckAsked(column, LabelScope::kEvent, person_index);
  const int64_t first = event_offsets_[person_index], events = event_offsets_[person_index + 1] - first;
  TORCH_CHECK_INDEX(event >= 1 && event <= events, "document ", person_index, ": event ", event, ", expected 1 to ",
                    events);
  return Row(column, first + event - 1);
}

double LabelTable::Token(size_t column, int64_t person_index, int64_t position) const {
  CheckAsked(column, LabelScope::kToken, person_index);
  const int64_t first = token_offsets_[person_index], length = token_offsets_[person_index + 1] - first;
  TORCH_CHECK_INDEX(position >= 0 && position < length, "document ", person_index, ": position ", position,
                    ", expected 0 to ", length - 1);
  return Row(column, first + position);
}

int64_t LabelTable::row_count(size_t column) const {
  TORCH_CHECK_INDEX(column < columns_.size(), "label column ", column, ", expected 0 to ", columns_.size() - 1);
  return static_cast<int64_t>(files_[column]->size() / LabelValueSize(columns_[column].kind));
}

double LabelTable::Row(size_t column, int64_t row) const {
  TORCH_CHECK_INDEX(row >= 0 && row < row_count(column), "row ", row, ", expected 0 to ", row_count(column) - 1);
  const LabelKind kind = columns_[column].kind;
  if (kind == LabelKind::kNumber) return ElementAt<double>(*files_[column], row);
  const int32_t index =
      kind == LabelKind::kBoolean ? ElementAt<int8_t>(*files_[column], row) : ElementAt<int32_t>(*files_[column], row);
  return index == -1 ? kMissing : index;
}

LabelSummary LabelTable::Summarize(size_t column) const {
  LabelSummary summary;
  summary.row_count = row_count(column);
  const LabelColumn& described = columns_[column];
  summary.value_counts.resize(described.kind == LabelKind::kBoolean ? 2 : described.values.size());
  double sum = 0;
  for (int64_t row = 0; row < summary.row_count; ++row) {
    const double value = Row(column, row);
    if (std::isnan(value)) continue;
    if (described.kind != LabelKind::kNumber) ++summary.value_counts[static_cast<size_t>(value)];
    summary.minimum = summary.present_count == 0 ? value : std::min(summary.minimum, value);
    summary.maximum = summary.present_count == 0 ? value : std::max(summary.maximum, value);
    ++summary.present_count;
    sum += value;
  }
  if (summary.present_count > 0) summary.mean = sum / static_cast<double>(summary.present_count);
  return summary;
}

}  // namespace lifescope
