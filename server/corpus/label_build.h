// Makes a label table as a description says.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/corpus/label_csv.h"
#include "server/corpus/label_description.h"

namespace lifescope {

struct LabelOptions {
  // A table of values is refused when more than this share of its rows is bad.
  double max_bad_row_share = 0.01;
};

// Evaluates every column in one pass over the corpus and writes the table's folder. Memory: one life, and the columns
// that come from CSV whole. `on_progress` counts persons. Gives a report per CSV column, in their order. Throws
// c10::ValueError naming the column and the fault: tokens or traits that the corpus does not have, tables that cannot
// be read (ReadLabelCsv), names (LabelTableWriter).
std::vector<RowCounts> BuildLabelTable(const std::string& folder, const Corpus& corpus,
                                       const std::vector<LabelColumnDescription>& columns,
                                       const LabelOptions& options = {},
                                       const std::function<void(int64_t done, int64_t total)>& on_progress = {});

}  // namespace lifescope
