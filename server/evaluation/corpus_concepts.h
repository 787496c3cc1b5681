// The boolean concepts of a corpus: each value of a known trait, or of a label, is one. "sector = transport" holds of a
// token of a person or event of that sector.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/corpus/label_table.h"

namespace lifescope {

// Refers to the corpus or the table, which must outlive it.
class CorpusConcepts {
 public:
  // Every trait of persons and events. Throws c10::ValueError when the corpus has none.
  static CorpusConcepts OfTraits(const Corpus& corpus);
  // The booleans and categories of a table of the corpus. Throws c10::ValueError when it has none, or is of another
  // corpus.
  static CorpusConcepts OfLabels(const LabelTable& labels, const Corpus& corpus);

  // Of the labels where there are any, else of the traits; only `traits` by name, where any are named. Throws
  // c10::ValueError also when one of these is not there.
  static CorpusConcepts Of(const Corpus& corpus, const LabelTable* labels, const std::vector<std::string>& traits);

  struct Name {
    std::string trait;  // "event.illness_active", "person.sector"; a label: its name
    std::string value;  // "yes"; a boolean: "false", "true"
  };

  int64_t size() const { return static_cast<int64_t>(names_.size()); }
  const Name& name(int64_t index) const { return names_[index]; }
  // Concepts of one trait exclude each other: the trait's number.
  const std::vector<int64_t>& traits() const { return traits_; }

  // Adds the concepts that hold of a token of an event, ascending; none of a trait that does not apply or is missing.
  void AppendHeldAt(int64_t document, int32_t event, int64_t row, std::vector<int32_t>* concepts) const;

  // These concepts alone, renumbered in the order given, which ascends.
  CorpusConcepts Select(const std::vector<int64_t>& kept) const;

 private:
  // Index of the value that holds there.
  using ValueAt = std::function<double(int64_t document, int32_t event, int64_t row)>;

  struct Column {
    ValueAt value_at;
    std::vector<int32_t> concepts;  // by value; -1 where it was not kept
  };

  CorpusConcepts() = default;
  void Add(const std::string& trait, const std::vector<std::string>& values, ValueAt value_at);

  std::vector<Name> names_;
  std::vector<int64_t> traits_;
  std::vector<Column> columns_;
};

// Numbers of the concepts that hold of at least `min_share` and at most `max_share` of the rows.
std::vector<int64_t> ConceptsWithin(const std::vector<int64_t>& holds, int64_t rows, double min_share,
                                    double max_share);

}  // namespace lifescope
