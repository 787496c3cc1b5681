// Rows of raw tables as records that sort by person and time.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/corpus/date_format.h"
#include "server/corpus/record_file.h"
#include "server/corpus/table_description.h"

namespace lifescope {

// The tables of a description are numbered: 0 the persons, from 1 on the events, last the split if it is a table.
int32_t TableCount(const TableDescription& description);
const std::string& TableName(const TableDescription& description, int32_t table);
const TableSource& SourceOf(const TableDescription& description, int32_t table);
inline constexpr int32_t kPersonTable = 0;
inline bool IsEventTable(const TableDescription& description, int32_t table) {
  return table > kPersonTable && table <= static_cast<int32_t>(description.tables.size());
}

// Where a record stands in the sorted tables: what a person is comes before what happens to them, in order of time,
// then of tables, files and lines. It also says where the row was.
struct RowKey {
  static constexpr int64_t kNoTime = std::numeric_limits<int64_t>::min();
  int64_t person = 0;
  int64_t second = kNoTime;  // of an event, since 1970-01-01
  int32_t table = 0;
  int32_t file = 0;  // of the table
  int64_t line = 0;

  void Append(std::string* record) const;
  static RowKey Take(RecordParser& parser);
};

// What follows the key.
struct PersonRow {
  Date birthday;
  std::optional<Split> split;
  std::vector<std::string> background;

  bool AgreesWith(const PersonRow& other, const PersonTable& table) const;
  static PersonRow Take(RecordParser& parser);
};
struct EventRow {
  int32_t age = -1;
  std::vector<std::string> fields;

  static EventRow Take(RecordParser& parser);
};
// Of the split's table.
Split TakeSplitRow(RecordParser& parser);

// Turns the rows of one file into records.
class RowParser {
 public:
  // Throws c10::ValueError when the file lacks a column that the description names.
  RowParser(const TableDescription& description, int32_t table, int32_t file, const CsvReader& reader);

  enum class Outcome { kRecord, kSkipped, kBad };
  // Fills `text`: with the record, or with what is wrong with the row.
  Outcome Parse(const CsvReader::Row& row, std::string* text) const;

 private:
  const std::string& Cell(const CsvReader::Row& row, size_t column) const;
  std::string ParsePersonRow(const CsvReader::Row& row, RowKey key, std::string* record) const;
  std::string ParseEventRow(const CsvReader::Row& row, RowKey key, std::string* record) const;
  std::string ParseSplitRow(const CsvReader::Row& row, RowKey key, std::string* record) const;

  const TableDescription& description_;
  const TableSource& source_;
  int32_t table_, file_;
  std::vector<DateFormat> formats_;
  size_t person_column_ = 0, date_column_ = 0;
  std::optional<size_t> age_column_, split_column_;
  std::vector<size_t> keep_columns_, value_columns_;
};

}  // namespace lifescope
