// Imports the processed documents of the published pipelines (docs/processed-documents.md): HDF5 files of one dataset
// "data", each row a person document in JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/corpus/calendar.h"
#include "server/corpus/corpus.h"
#include "server/corpus/person_document.h"
#include "server/corpus/progress.h"
#include "server/corpus/row_counts.h"
#include "server/corpus/vocabulary.h"

namespace lifescope {

struct DocumentImportOptions {
  int64_t max_length = 256;
  // Day 1 of abspos. The files do not say it: 2008-01-01 in life2vec, 2020-01-01 in life2vec-light.
  Date reference_date{2008, 1, 1};
  // Cut the sentences from timecut_pos on, as every published task does. life2vec-light writes 0 there, which leaves
  // nothing.
  bool cut_at_threshold = true;
  // Background of life2vec-light as its code looks it up: the words as they are stored ("Male", "6", "1957"), which its
  // vocabulary does not have. Off: MALE, MONTH_6, YEAR_1957. life2vec's own background is the same in both.
  bool faithful = false;
  // Import stops when more than this share of a file's rows is bad.
  double max_bad_row_share = 0.01;
  // "USER_ID,split" with train, validation (or val), test; empty: from the folder or the name of each file.
  std::string split_file;
};

struct DocumentImportReport {
  std::vector<RowCounts> files;
  int64_t person_count = 0;
  // Left out: no sentence is left after the cut, or the last one alone is too long.
  int64_t eventless_person_count = 0;
  int64_t event_count = 0;
  int64_t unknown_token_count = 0;
  int64_t clipped_person_count = 0;
};

// Reads files, and folders for every .hdf5 file in them, and writes a corpus folder. Persons in order: train,
// validation, test; of a split by the path of their file, then by row. With a split file the splits are mixed: persons
// are in order of the paths, then of the rows. Rows are streamed. A bad row (JSON, fields, a person who was there
// already) is counted and left out, and reading ends when a file cannot stay below the share any more; tokens that the
// vocabulary does not have become [UNK].
// Throws c10::ValueError naming the file: none found, one whose split is not said, one that cannot be read, too many
// bad rows.
DocumentImportReport ImportPersonDocuments(const std::vector<std::string>& paths, const std::string& vocabulary_file,
                                           const std::string& corpus_folder, const DocumentImportOptions& options,
                                           const Progress& progress = {});

// Lays out a person document as the published tasks do before augmentation.
EncodedLife EncodePersonDocument(const PersonDocument& document, const Vocabulary& vocabulary,
                                 const DocumentImportOptions& options);

}  // namespace lifescope
