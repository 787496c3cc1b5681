// labels.json, the text file of a label table folder. Shared by the writer and the reader.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/artifact/output_file.h"
#include "server/corpus/label_table.h"

namespace lifescope {

inline constexpr char kLabelManifestFile[] = "labels.json";

struct LabelListing {
  std::string corpus_digest;
  std::vector<LabelColumn> columns;
  std::vector<FileDigest> files;  // by column
};

// Canonical (sorted keys, no time, no path): the same labels give the same bytes.
std::string ToJson(const LabelListing& listing);
// Throws c10::ValueError naming `path` and the fault.
LabelListing ParseLabelListing(const std::string& path, const std::string& text);

// Throws c10::ValueError naming the column and the fault: a name twice or with other characters, a category without
// values or with one twice, values of another kind.
void CheckLabelColumns(const std::vector<LabelColumn>& columns);

// "smoker.i8": the file of a column.
std::string LabelFileName(const LabelColumn& column);
// Bytes of one value.
size_t LabelValueSize(LabelKind kind);
// Rows of a column of that scope.
int64_t LabelRowCount(LabelScope scope, const CorpusManifest& corpus);
// Where the rows of each person start in a column of that scope: [persons + 1].
std::vector<int64_t> LabelOffsets(LabelScope scope, const Corpus& corpus);
// Why a column cannot have the value, or nothing.
std::string LabelValueFault(const LabelColumn& column, double value);

}  // namespace lifescope
