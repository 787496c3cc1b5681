// What an import is given: the files of the tables, and all else that decides the corpus it makes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/corpus/progress.h"
#include "server/corpus/table_description.h"
#include "server/corpus/table_import.h"

namespace lifescope {

struct TableFile {
  int32_t table = 0;  // as table_rows.h numbers them
  int32_t file = 0;   // of the table
  std::string path;
  std::string name;  // without folders
  int64_t bytes = 0;
};

// By table, and for a pattern by name. Throws c10::ValueError naming a file or pattern that nothing is found for, or a
// file that lacks a column of the description.
std::vector<TableFile> FindTableFiles(const std::string& folder, const TableDescription& description);

// All that decides the result and nothing else, as one JSON object with the digests of the files: two imports of one
// job give the same corpus.
std::string ImportJob(const std::vector<TableFile>& files, const TableImportOptions& options, const Progress& progress);

}  // namespace lifescope
