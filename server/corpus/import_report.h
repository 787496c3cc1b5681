// What a table import found. It stands in the corpus it made (import.json), beside how it was made.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/corpus/row_counts.h"

namespace lifescope {

struct TableImportReport {
  std::vector<RowCounts> tables;
  // In the corpus.
  int64_t person_count = 0;
  int64_t event_count = 0;
  int64_t unknown_token_count = 0;
  int64_t clipped_person_count = 0;
  // Not in it: birthday, events or agreement of rows are not what the description asks for; none of their events is
  // before its threshold.
  int64_t left_out_person_count = 0;
  int64_t eventless_person_count = 0;

  RowCounts rows() const { return Total(tables); }

  // One JSON object; Parse throws c10::ValueError on anything else.
  std::string ToJson() const;
  static TableImportReport Parse(const std::string& json);
};

}  // namespace lifescope
