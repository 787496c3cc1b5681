#include "server/corpus/label_csv.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "server/corpus/csv.h"
#include "server/corpus/label_manifest.h"
#include "server/corpus/table_cell.h"

namespace lifescope {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

bool IsMissing(const std::string& text) {
  const std::vector<std::string>& spellings = MissingSpellings();
  return std::find(spellings.begin(), spellings.end(), text) != spellings.end();
}

LabelScope ScopeOf(const CsvLabel& label) {
  if (!label.position_column.empty()) return LabelScope::kToken;
  return label.event_column.empty() && label.date_column.empty() ? LabelScope::kPerson : LabelScope::kEvent;
}

// The numbers that stand for the texts of a value column.
class ValueReader {
 public:
  explicit ValueReader(const CsvLabel& label) : label_(label) {
    for (const std::string& name : label.values) IndexOf(name);
  }

  // Nothing when the column cannot have this text.
  std::optional<double> Read(const std::string& text) {
    switch (label_.kind) {
      case LabelKind::kNumber:
        return ParseTableNumber(text, false);
      case LabelKind::kBoolean:
        return ReadBoolean(text);
      case LabelKind::kCategory:
        break;
    }
    if (!label_.values.empty() && indices_.count(text) == 0) return std::nullopt;
    return IndexOf(text);
  }

  std::string expected() const {
    switch (label_.kind) {
      case LabelKind::kNumber:
        return "a number";
      case LabelKind::kBoolean:
        return "0, 1, true or false";
      case LabelKind::kCategory:
        break;
    }
    return "one of the column's " + std::to_string(label_.values.size()) + " values";
  }

  // The names of a category; where the description gives none, sorts them and renumbers `rows`.
  std::vector<std::string> Names(std::vector<double>* rows) const {
    if (!label_.values.empty()) return label_.values;
    std::vector<std::string> names;
    std::vector<double> new_index(indices_.size());
    for (const auto& [name, index] : indices_) {
      new_index[static_cast<size_t>(index)] = static_cast<double>(names.size());
      names.push_back(name);
    }
    for (double& row : *rows) {
      if (!std::isnan(row) && label_.kind == LabelKind::kCategory) row = new_index[static_cast<size_t>(row)];
    }
    return names;
  }

 private:
  double IndexOf(const std::string& name) {
    return indices_.emplace(name, static_cast<double>(indices_.size())).first->second;
  }

  static std::optional<double> ReadBoolean(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    if (text == "1" || text == "true") return 1;
    if (text == "0" || text == "false") return 0;
    return std::nullopt;
  }

  const CsvLabel& label_;
  std::map<std::string, double> indices_;
};

// Finds the rows of the label column that a line of the table is about.
class PlaceReader {
 public:
  PlaceReader(const CsvLabel& label, const Corpus& corpus, const CsvReader& reader, const std::vector<int64_t>& offsets)
      : label_(label), corpus_(corpus), offsets_(offsets), person_(reader.Column(label.person_column)) {
    for (const std::string* name : {&label.event_column, &label.date_column, &label.position_column}) {
      if (!name->empty()) place_ = reader.Column(*name);
    }
  }

  // What is wrong with the line, or nothing. `rows` is empty when the corpus has no such person or day.
  std::string Find(const std::vector<std::string>& cells, std::vector<int64_t>* rows) const {
    rows->clear();
    const std::optional<int64_t> id = ParseTableInteger(cells[person_]);
    if (!id) return CellFault(label_.person_column, cells[person_], "a whole number");
    const std::optional<int64_t> person = corpus_.Find(*id);
    if (!person) return "";
    if (ScopeOf(label_) == LabelScope::kPerson) {
      rows->push_back(*person);
      return "";
    }
    if (!label_.date_column.empty()) return FindDay(*person, cells[place_], rows);
    const std::string& column = label_.event_column.empty() ? label_.position_column : label_.event_column;
    const int64_t first = label_.event_column.empty() ? 0 : 1;
    const int64_t count = offsets_[*person + 1] - offsets_[*person];
    const std::optional<int64_t> number = ParseTableInteger(cells[place_]);
    if (!number || *number < first || *number >= first + count) {
      return CellFault(column, cells[place_],
                       "a whole number from " + std::to_string(first) + " to " + std::to_string(first + count - 1) +
                           " (person " + cells[person_] + ")");
    }
    rows->push_back(offsets_[*person] + *number - first);
    return "";
  }

 private:
  std::string FindDay(int64_t person, const std::string& text, std::vector<int64_t>* rows) const {
    const std::optional<Date> date = Date::Parse(text);
    if (!date) return CellFault(label_.date_column, text, "YYYY-MM-DD");
    const int64_t abspos = date->DayNumber() - corpus_.manifest().reference_date.DayNumber() + 1;
    const Document document = corpus_.DocumentAt(person);
    for (int64_t row = 1; row < document.length(); ++row) {
      const int32_t event = document.event[row];
      if (event != document.event[row - 1] && document.abspos[row] == abspos) {
        rows->push_back(offsets_[person] + event - 1);
      }
    }
    return "";
  }

  const CsvLabel& label_;
  const Corpus& corpus_;
  const std::vector<int64_t>& offsets_;
  size_t person_, place_ = 0;
};

// Puts the value at its rows; says what is wrong, or nothing.
std::string Put(const CsvLabel& label, const std::string& text, const std::vector<int64_t>& rows, ValueReader* values,
                std::vector<double>* column) {
  if (IsMissing(text)) return "";
  // Before the value is read, which may be the first of a new category.
  for (const int64_t row : rows) {
    if (!std::isnan((*column)[row])) return std::string("a second value for the same ") + ToString(ScopeOf(label));
  }
  const std::optional<double> value = values->Read(text);
  if (!value) return CellFault(label.value_column, text, values->expected());
  for (const int64_t row : rows) (*column)[row] = *value;
  return "";
}

}  // namespace

CsvLabelValues ReadLabelCsv(const CsvLabel& label, const Corpus& corpus, double max_bad_row_share, RowCounts* counts) {
  CsvReader reader(label.file);
  CsvLabelValues found{ScopeOf(label), label.kind, {}, {}, LabelOffsets(ScopeOf(label), corpus)};
  found.rows.assign(static_cast<size_t>(found.offsets.back()), kMissing);
  const PlaceReader places(label, corpus, reader, found.offsets);
  const size_t value_column = reader.Column(label.value_column);
  ValueReader values(label);
  counts->source = label.file;
  const std::string name = label.file.substr(label.file.rfind('/') + 1);
  CsvReader::Row row;
  std::vector<int64_t> rows;
  while (reader.Next(&row)) {
    ++counts->row_count;
    std::string fault = row.fault.empty() ? places.Find(row.cells, &rows) : row.fault;
    if (fault.empty() && rows.empty()) ++counts->skipped_row_count;
    if (fault.empty() && !rows.empty()) fault = Put(label, row.cells[value_column], rows, &values, &found.rows);
    if (fault.empty()) continue;
    counts->AddBad(name + ":" + std::to_string(row.line) + ": " + fault);
  }
  counts->CheckBadShare(max_bad_row_share, label.file);
  TORCH_CHECK_VALUE(std::any_of(found.rows.begin(), found.rows.end(), [](double value) { return !std::isnan(value); }),
                    label.file, ": none of its ", counts->row_count,
                    " rows has a value for a person or event of the corpus");
  if (label.kind == LabelKind::kCategory) found.names = values.Names(&found.rows);
  return found;
}

}  // namespace lifescope
