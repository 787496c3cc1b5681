// Label values out of a CSV table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/corpus/label_description.h"
#include "server/corpus/row_counts.h"

namespace lifescope {

struct CsvLabelValues {
  LabelScope scope = LabelScope::kPerson;
  LabelKind kind = LabelKind::kNumber;
  std::vector<std::string> names;  // of a category
  std::vector<double> rows;        // every row of the column; NaN: missing
  std::vector<int64_t> offsets;    // [persons + 1]: where a person's rows start
};

// Reads the table; the column is in memory whole. A bad row (form, id, place, value, a second value for the same place)
// is counted and left out; one of a person or day that the corpus does not have is skipped. Throws c10::ValueError
// naming file, line, found and expected: no such file or column, too many bad rows, no row that says anything.
CsvLabelValues ReadLabelCsv(const CsvLabel& label, const Corpus& corpus, double max_bad_row_share, RowCounts* counts);

}  // namespace lifescope
