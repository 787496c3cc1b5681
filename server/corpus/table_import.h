// Imports raw tables of any size into a corpus: reads and sorts them on disk, joins them into lives, fits a tokenizer
// on the training persons and encodes. Memory does not grow with the tables but for nine bytes a person (the split)
// and the distinct tokens.
#pragma once

#include <cstdint>
#include <string>

#include "server/corpus/import_report.h"
#include "server/corpus/progress.h"
#include "server/corpus/table_description.h"
#include "server/corpus/tokenizer.h"

namespace lifescope {

struct TableImportOptions {
  TableDescription description = TableDescription::Life2vecLight();
  // The description as its author wrote it. It is kept in the corpus, and an import goes on only with the same one.
  std::string description_text;
  RawEncodeOptions encode;
  // Import stops when more than this share of a table's rows is bad.
  double max_bad_row_share = 0.01;
  // For sorting; what else an import needs is some tens of megabytes.
  int64_t memory_bytes = int64_t{256} << 20;
  // Discards an unfinished import of other tables or options.
  bool start_over = false;
};

// Where an unfinished import keeps its work: beside the corpus, ".<name>.import".
std::string ImportWorkFolder(const std::string& corpus_folder);

// Reads the tables of `tables_folder` and writes a corpus folder. Persons in order: train, validation, test, each by
// id. A bad row (form, date, number, unknown person) is counted and left out. A killed import goes on where it stood
// when it is called again with the same tables and options; the corpus is the same, byte for byte. So does one that
// could not read or write; one that throws a TableFault (too many bad rows, a person without a split, nobody to learn
// from) leaves nothing. How the corpus was made stands in its import.json: description, digests of the tables, report,
// edges of bins. Throws c10::ValueError naming file, line, found and expected: missing file or column, a TableFault, an
// unfinished import of other tables.
TableImportReport ImportTables(const std::string& tables_folder, const std::string& corpus_folder,
                               const TableImportOptions& options, const Progress& progress = {});

}  // namespace lifescope
