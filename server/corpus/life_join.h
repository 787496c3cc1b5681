// Joins sorted rows into whole lives.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/corpus/import_report.h"
#include "server/corpus/raw_life.h"
#include "server/corpus/record_file.h"
#include "server/corpus/table_rows.h"

namespace lifescope {

// A life as a record: who is in which split, if a table says it, and the person.
void AppendLife(const std::optional<Split>& split, const RawPerson& person, std::string* record);
std::optional<Split> TakeLifeSplit(std::string_view* record);  // leaves what ParsePerson reads

// Takes the records of all tables in ascending order and gives the lives of those who belong to the corpus, by person
// id. Counts what it leaves out in the report. Not thread-safe.
class LifeJoin {
 public:
  using NameOfFile = std::function<std::string(int32_t table, int32_t file)>;
  LifeJoin(const TableDescription& description, NameOfFile name_of_file, TableImportReport& report,
           RecordWriter& lives);

  // Throws TableFault naming a person without a split where a table should give it.
  void Add(std::string_view record);
  // After the last record.
  void Finish();
  int64_t life_count() const { return life_count_; }

 private:
  void AddPerson(const RowKey& key, PersonRow row);
  void AddSplit(const RowKey& key, Split split);
  void AddEvent(const RowKey& key, EventRow row);
  void AddBad(const RowKey& key, const std::string& fault);
  bool Belongs() const;
  void EndPerson();
  std::string PersonText(int64_t person, int32_t table) const;

  const TableDescription& description_;
  NameOfFile name_of_file_;
  TableImportReport& report_;
  RecordWriter& lives_;
  int64_t life_count_ = 0;

  // The person whose rows are coming.
  RawPerson person_;
  std::optional<PersonRow> first_row_;
  std::optional<Split> split_;
  bool rows_agree_ = true;
};

}  // namespace lifescope
