// How many rows a source of lives or labels has, and how many of them could not be read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lifescope {

struct RowCounts {
  std::string source;  // a table's or a file's name
  int64_t row_count = 0;
  int64_t skipped_row_count = 0;  // not meant to be read, or of persons or days that are not wanted; not bad
  int64_t bad_row_count = 0;
  // The first few: "synth_labor.csv:17: RECORD_DATE is '2020-13-01', expected YYYY-MM-DD".
  std::vector<std::string> bad_row_samples;

  void AddBad(const std::string& sample);
  // Throws TableFault when more than that share of the rows is bad; the message starts with `where`.
  void CheckBadShare(double max_share, const std::string& where) const;
};

// The sums, without a name, and all samples.
RowCounts Total(const std::vector<RowCounts>& sources);

}  // namespace lifescope
