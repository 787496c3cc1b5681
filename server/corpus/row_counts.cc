#include "server/corpus/row_counts.h"

#include "server/corpus/table_fault.h"

namespace lifescope {
namespace {

constexpr size_t kSampleCount = 10;

}  // namespace

void RowCounts::AddBad(const std::string& sample) {
  ++bad_row_count;
  if (bad_row_samples.size() < kSampleCount) bad_row_samples.push_back(sample);
}

void RowCounts::CheckBadShare(double max_share, const std::string& where) const {
  if (static_cast<double>(bad_row_count) <= max_share * static_cast<double>(row_count)) return;
  ThrowTableFault(where, ": ", bad_row_count, " of ", row_count, " rows are bad, expected at most a share of ",
                  max_share, "; the first: ", bad_row_samples.front());
}

RowCounts Total(const std::vector<RowCounts>& sources) {
  RowCounts total;
  for (const RowCounts& source : sources) {
    total.row_count += source.row_count;
    total.skipped_row_count += source.skipped_row_count;
    total.bad_row_count += source.bad_row_count;
    total.bad_row_samples.insert(total.bad_row_samples.end(), source.bad_row_samples.begin(),
                                 source.bad_row_samples.end());
  }
  return total;
}

}  // namespace lifescope
