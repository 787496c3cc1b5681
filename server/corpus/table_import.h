// Imports life2vec-light-style tables: users.csv, synth_labor.csv, synth_health.csv.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "server/corpus/raw_life.h"

namespace lifescope {

struct TableImportOptions {
  RawSchema schema = RawSchema::Life2vecLight();
  RawEncodeOptions encode;
  // Import stops when more than this share of a table's rows is bad.
  double max_bad_row_share = 0.01;
  uint64_t split_seed = 42;
  // "USER_ID,split" with train, validation, test; empty: by shares 0.7, 0.15, 0.15 from split_seed.
  std::string split_file;
};

struct TableImportReport {
  int64_t row_count = 0;
  int64_t bad_row_count = 0;
  // The first few: "synth_labor.csv:17: RECORD_DATE is '2020-13-01', expected YYYY-MM-DD".
  std::vector<std::string> bad_row_samples;
  int64_t person_count = 0;
  // Left out: none of their events is before the schema's threshold.
  int64_t eventless_person_count = 0;
  int64_t event_count = 0;
  int64_t unknown_token_count = 0;
  int64_t clipped_person_count = 0;
};

// (done, total) rows or persons of the current stage; total 0 when unknown.
using Progress = std::function<void(const std::string& stage, int64_t done, int64_t total)>;

// Reads the tables of `tables_folder` and writes a corpus folder. Persons in order: train, validation, test, each by
// id. A bad row (form, date, number, unknown person) is counted and left out; "", NA, N/A, NaN, nan, NULL, null and
// <NA> are missing values. Throws c10::ValueError naming file, line, found and expected: missing file or column, too
// many bad rows.
TableImportReport ImportTables(const std::string& tables_folder, const std::string& corpus_folder,
                               const TableImportOptions& options, const Progress& progress = {});

// Reads the tables into memory without encoding (used by the import and by tests).
std::vector<RawPerson> ReadTables(const std::string& tables_folder, const TableImportOptions& options,
                                  TableImportReport& report, const Progress& progress = {});

}  // namespace lifescope
