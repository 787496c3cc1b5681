#include "server/corpus/table_rows.h"

#include <algorithm>
#include <cmath>

#include "server/corpus/person_split.h"
#include "server/corpus/table_cell.h"

namespace lifescope {
namespace {

constexpr uint64_t kNoSplit = 3;
constexpr double kOldest = 150;

std::string FormatsText(const std::vector<DateFormat>& formats) {
  std::string text;
  for (const DateFormat& format : formats) text += (text.empty() ? "" : " or ") + format.ToString();
  return text;
}

std::vector<DateFormat> Formats(const std::vector<std::string>& patterns) {
  if (patterns.empty()) return {DateFormat("")};
  return {patterns.begin(), patterns.end()};
}

}  // namespace

int32_t TableCount(const TableDescription& description) {
  return static_cast<int32_t>(description.tables.size()) + (description.split.table ? 2 : 1);
}

const std::string& TableName(const TableDescription& description, int32_t table) {
  static const std::string kPersons = "persons", kSplit = "split";
  if (IsEventTable(description, table)) return description.tables[table - 1].name;
  return table == kPersonTable ? kPersons : kSplit;
}

const TableSource& SourceOf(const TableDescription& description, int32_t table) {
  if (IsEventTable(description, table)) return description.tables[table - 1].source;
  return table == kPersonTable ? description.persons.source : *description.split.table;
}

void RowKey::Append(std::string* record) const {
  AppendSigned(person, record);
  AppendSigned(second, record);
  AppendNumber(static_cast<uint64_t>(table), 2, record);
  AppendNumber(static_cast<uint64_t>(file), 2, record);
  AppendNumber(static_cast<uint64_t>(line), 8, record);
}

RowKey RowKey::Take(RecordParser& parser) {
  RowKey key;
  key.person = parser.Signed();
  key.second = parser.Signed();
  key.table = static_cast<int32_t>(parser.Number(2));
  key.file = static_cast<int32_t>(parser.Number(2));
  key.line = static_cast<int64_t>(parser.Number(8));
  return key;
}

bool PersonRow::AgreesWith(const PersonRow& other, const PersonTable& table) const {
  if (birthday != other.birthday) return false;
  size_t code = 0;
  for (const BackgroundToken& token : table.background) {
    if (token.kind != BackgroundToken::Kind::kCode) continue;
    if (token.must_agree && background[code] != other.background[code]) return false;
    ++code;
  }
  return true;
}

PersonRow PersonRow::Take(RecordParser& parser) {
  PersonRow row;
  row.birthday = Date::FromDayNumber(parser.Signed());
  const uint64_t split = parser.Number(1);
  if (split != kNoSplit) row.split = static_cast<Split>(split);
  row.background = parser.Texts();
  return row;
}

EventRow EventRow::Take(RecordParser& parser) {
  EventRow row;
  row.age = static_cast<int32_t>(parser.Number(4));
  row.fields = parser.Texts();
  return row;
}

Split TakeSplitRow(RecordParser& parser) { return static_cast<Split>(parser.Number(1)); }

RowParser::RowParser(const TableDescription& description, int32_t table, int32_t file, const CsvReader& reader)
    : description_(description), source_(SourceOf(description, table)), table_(table), file_(file) {
  person_column_ = reader.Column(source_.person_column);
  for (const RowCondition& condition : source_.keep) keep_columns_.push_back(reader.Column(condition.column));
  if (IsEventTable(description, table)) {
    const EventTable& events = description.tables[table - 1];
    date_column_ = reader.Column(events.date_column);
    formats_ = Formats(events.date_formats);
    if (!events.age_column.empty()) age_column_ = reader.Column(events.age_column);
    for (const EventField& field : events.fields) value_columns_.push_back(reader.Column(field.value.column));
  } else if (table == kPersonTable) {
    date_column_ = reader.Column(description.persons.birthday_column);
    formats_ = Formats(description.persons.birthday_formats);
    if (!description.persons.split_column.empty()) split_column_ = reader.Column(description.persons.split_column);
    for (const BackgroundToken& token : description.persons.background) {
      if (token.kind == BackgroundToken::Kind::kCode) value_columns_.push_back(reader.Column(token.value.column));
    }
  } else {
    split_column_ = reader.Column(description.split.column);
  }
}

RowParser::Outcome RowParser::Parse(const CsvReader::Row& row, std::string* text) const {
  *text = row.fault;
  if (!text->empty()) return Outcome::kBad;
  for (size_t i = 0; i < keep_columns_.size(); ++i) {
    if (!source_.keep[i].Holds(Cell(row, keep_columns_[i]))) return Outcome::kSkipped;
  }
  const std::string& person = row.cells[person_column_];
  const std::optional<int64_t> id = ParseTableInteger(person);
  if (!id) {
    *text = CellFault(source_.person_column, person, "a whole number");
    return Outcome::kBad;
  }
  const RowKey key{*id, RowKey::kNoTime, table_, file_, row.line};
  std::string record;
  const std::string fault = table_ == kPersonTable               ? ParsePersonRow(row, key, &record)
                            : IsEventTable(description_, table_) ? ParseEventRow(row, key, &record)
                                                                 : ParseSplitRow(row, key, &record);
  *text = fault.empty() ? std::move(record) : fault;
  return !fault.empty() ? Outcome::kBad : text->empty() ? Outcome::kSkipped : Outcome::kRecord;
}

// "" where the cell is missing.
const std::string& RowParser::Cell(const CsvReader::Row& row, size_t column) const {
  static const std::string kMissing;
  const std::string& cell = row.cells[column];
  const std::vector<std::string>& missing = description_.missing;
  return std::find(missing.begin(), missing.end(), cell) == missing.end() ? cell : kMissing;
}

std::string RowParser::ParsePersonRow(const CsvReader::Row& row, RowKey key, std::string* record) const {
  const PersonTable& persons = description_.persons;
  const std::optional<Moment> birthday = ReadMoment(formats_, row.cells[date_column_]);
  if (!birthday) return CellFault(persons.birthday_column, row.cells[date_column_], FormatsText(formats_));
  std::optional<Split> split;
  if (split_column_) {
    split = ParseSplit(row.cells[*split_column_]);
    if (!split) return CellFault(persons.split_column, row.cells[*split_column_], "train, validation or test");
  }
  std::vector<std::string> background;
  for (const size_t column : value_columns_) background.push_back(Cell(row, column));
  key.Append(record);
  AppendSigned(birthday->date.DayNumber(), record);
  AppendNumber(split ? static_cast<uint64_t>(*split) : kNoSplit, 1, record);
  AppendTexts(background, record);
  return "";
}

std::string RowParser::ParseEventRow(const CsvReader::Row& row, RowKey key, std::string* record) const {
  const EventTable& events = description_.tables[table_ - 1];
  const std::optional<Moment> moment = ReadMoment(formats_, row.cells[date_column_]);
  if (!moment) return CellFault(events.date_column, row.cells[date_column_], FormatsText(formats_));
  if (events.first_date && moment->date.DayNumber() < events.first_date->DayNumber()) return "";
  EventRow event;
  if (age_column_ && !Cell(row, *age_column_).empty()) {
    const std::optional<double> age = ParseTableNumber(row.cells[*age_column_], false);
    if (!age || *age < 0 || *age > kOldest || std::floor(*age) != *age) {
      return CellFault(events.age_column, row.cells[*age_column_], "a whole number of years");
    }
    event.age = static_cast<int32_t>(*age);
  }
  for (size_t f = 0; f < value_columns_.size(); ++f) {
    const std::string& cell = Cell(row, value_columns_[f]);
    if (events.fields[f].bin_count > 0 && !cell.empty() && !ParseTableNumber(cell, false)) {
      return CellFault(events.fields[f].value.column, cell, "a number");
    }
    event.fields.push_back(cell);
  }
  key.second = moment->Seconds();
  key.Append(record);
  AppendNumber(static_cast<uint32_t>(event.age), 4, record);
  AppendTexts(event.fields, record);
  return "";
}

std::string RowParser::ParseSplitRow(const CsvReader::Row& row, RowKey key, std::string* record) const {
  const std::optional<Split> split = ParseSplit(row.cells[*split_column_]);
  if (!split) return CellFault(description_.split.column, row.cells[*split_column_], "train, validation or test");
  key.Append(record);
  AppendNumber(static_cast<uint64_t>(*split), 1, record);
  return "";
}

}  // namespace lifescope
