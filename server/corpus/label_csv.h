// Label values out of a CSV table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/corpus/label_description.h"

namespace lifescope {

struct LabelCsvReport {
  std::string file;
  int64_t row_count = 0;
  // Of persons, or of days, that the corpus does not have. Left out; not bad.
  int64_t skipped_row_count = 0;
  int64_t bad_row_count = 0;
  // The first few: "smokers.csv:17: SMOKES is 'maybe', expected 0, 1, true or false".
  std::vector<std::string> bad_row_samples;
};

struct CsvLabelValues {
  LabelScope scope = LabelScope::kPerson;
  LabelKind kind = LabelKind::kNumber;
  std::vector<std::string> names;  // of a category
  std::vector<double> rows;        // every row of the column; NaN: missing
  std::vector<int64_t> offsets;    // [persons + 1]: where a person's rows start
};

// Reads the table; the column is in memory whole. A bad row (form, id, place, value, a second value for the same place)
// is counted and left out. Throws c10::ValueError naming file, line, found and expected: no such file or column, too
// many bad rows, no row that says anything.
CsvLabelValues ReadLabelCsv(const CsvLabel& label, const Corpus& corpus, double max_bad_row_share,
                            LabelCsvReport* report);

}  // namespace lifescope
