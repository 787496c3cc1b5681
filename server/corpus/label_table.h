// Concepts attached to a corpus: what is said of its persons, their events or their tokens. Features are compared with
// labels, and heads are trained on them.
//
// A folder: labels.json (columns with their definitions, the digest of the corpus, SHA-256 of every file) and one flat
// little-endian array per column, <name>.i8 (boolean), <name>.i32 (category) or <name>.f64 (number). Immutable; its
// digest is the SHA-256 of labels.json.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/artifact/artifact.h"
#include "server/corpus/corpus.h"

namespace lifescope {

enum class LabelScope { kPerson, kEvent, kToken };
enum class LabelKind { kBoolean, kCategory, kNumber };

// "person", "event", "token".
const char* ToString(LabelScope scope);
// "boolean", "category", "number".
const char* ToString(LabelKind kind);

struct LabelColumn {
  std::string name;  // letters, digits, '_', '.', '-', not starting with '.'; unique in its table
  LabelScope scope = LabelScope::kPerson;
  LabelKind kind = LabelKind::kBoolean;
  std::vector<std::string> values;  // of a category: what its indices mean; else empty
  std::string definition;           // how its values came to be: the text of its LabelColumn (label_description.proto)
};

// What a column says over all its rows.
struct LabelSummary {
  int64_t row_count = 0;
  int64_t present_count = 0;          // not missing
  std::vector<int64_t> value_counts;  // by value, of booleans (false, true) and categories
  double minimum = 0, mean = 0, maximum = 0;
};

// A memory-mapped table. Immutable and thread-safe; it does not refer to the corpus that it was opened with.
class LabelTable {
 public:
  // Throws c10::ValueError naming the file and the fault: missing file, wrong size, a table of another corpus (by
  // digest), a value that its column cannot have. `verify_digests` also reads every byte against labels.json.
  static std::shared_ptr<const LabelTable> Open(const std::string& folder, const Corpus& corpus,
                                                bool verify_digests = false);

  const std::string& digest() const { return digest_; }
  const std::string& corpus_digest() const { return corpus_digest_; }
  const std::vector<LabelColumn>& columns() const { return columns_; }
  // Index of the column of that name.
  std::optional<size_t> Find(std::string_view name) const;

  // The value of a column that has this scope. NaN: missing; booleans are 0 or 1, categories their index in `values`.
  // Persons by index in the corpus; events 1 .. event_count of the document; positions from 0. Throws c10::IndexError
  // on an index outside, c10::ValueError on a column of another scope.
  double Person(size_t column, int64_t person_index) const;
  double Event(size_t column, int64_t person_index, int32_t event) const;
  double Token(size_t column, int64_t person_index, int64_t position) const;

  // All values of a column in order: persons by index, their events or tokens in order.
  int64_t row_count(size_t column) const;
  double Row(size_t column, int64_t row) const;
  LabelSummary Summarize(size_t column) const;

 private:
  LabelTable() = default;
  void CheckAsked(size_t column, LabelScope scope, int64_t person_index) const;

  std::string digest_, corpus_digest_;
  std::vector<LabelColumn> columns_;
  std::vector<std::shared_ptr<const MappedFile>> files_;  // by column
  std::vector<int64_t> event_offsets_, token_offsets_;    // [persons + 1]
};

// Writes a label table; rows are streamed to a hidden folder beside it, which is renamed at the end, so that a stopped
// writer leaves no table. Not thread-safe.
class LabelTableWriter {
 public:
  // Throws c10::ValueError when `folder` exists or cannot be made, or a column cannot be: its name, no values of a
  // category. `corpus` must outlive the writer.
  LabelTableWriter(const std::string& folder, const Corpus& corpus, std::vector<LabelColumn> columns);
  ~LabelTableWriter();

  // The next value of a column, in the order of LabelTable::Row, NaN for a missing one. Throws c10::ValueError on a
  // value that the column cannot have.
  void Append(size_t column, double value);
  // Makes the table visible, on disk when it returns. Throws c10::ValueError when a column has too few or many values.
  void Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lifescope
