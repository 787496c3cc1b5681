// What a table import found. It stands in the corpus it made (import.json), beside how it was made.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lifescope {

// Of the rows of one table.
struct TableRowCounts {
  std::string table;
  int64_t row_count = 0;
  int64_t skipped_row_count = 0;  // not kept by the description, or of a person who is left out
  int64_t bad_row_count = 0;
  // The first few: "synth_labor.csv:17: RECORD_DATE is '2020-13-01', expected YYYY-MM-DD".
  std::vector<std::string> bad_row_samples;

  void AddBad(const std::string& sample);
};

struct TableImportReport {
  std::vector<TableRowCounts> tables;
  // In the corpus.
  int64_t person_count = 0;
  int64_t event_count = 0;
  int64_t unknown_token_count = 0;
  int64_t clipped_person_count = 0;
  // Not in it: birthday, events or agreement of rows are not what the description asks for; none of their events is
  // before its threshold.
  int64_t left_out_person_count = 0;
  int64_t eventless_person_count = 0;

  int64_t row_count() const;
  int64_t skipped_row_count() const;
  int64_t bad_row_count() const;
  std::vector<std::string> bad_row_samples() const;

  // One JSON object; Parse throws c10::ValueError on anything else.
  std::string ToJson() const;
  static TableImportReport Parse(const std::string& json);
};

}  // namespace lifescope
