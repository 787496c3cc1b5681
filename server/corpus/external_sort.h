// Sorts more records than memory holds: sorted runs on disk, then a merge of them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/artifact/output_file.h"
#include "server/corpus/record_file.h"

namespace lifescope {

// A sorted run on disk: its name in the sorter's folder, and what was written.
struct SortedRun {
  std::string name;
  FileDigest digest;
};

// The records of all runs in ascending order. Not thread-safe.
class SortedRecords {
 public:
  SortedRecords(const std::string& folder, const std::vector<SortedRun>& runs, int64_t memory_bytes);

  // The next record, which stands until the next call; false at the end.
  bool Next(std::string_view* record);

 private:
  // By the record each run is at, greatest first: a heap has its last in front.
  struct Head {
    std::string_view record;
    RecordReader* run;
    bool operator<(const Head& other) const { return record > other.record; }
  };
  void Advance(RecordReader* run);

  std::vector<std::unique_ptr<RecordReader>> runs_;
  std::vector<Head> heads_;
  RecordReader* last_ = nullptr;  // gave the record that still stands
};

// Takes records, which compare as bytes. Writes a run whenever `memory_bytes` are full; makes `folder` when it needs
// it. Removes nothing, not even runs that were merged: the folder is the caller's. Not thread-safe.
class RecordSorter {
 public:
  // `runs`: those of an earlier sorter over this folder, which this one goes on from.
  RecordSorter(std::string folder, int64_t memory_bytes, std::vector<SortedRun> runs = {});

  // True when it has just written a run: everything added so far is in runs().
  bool Add(std::string_view record);
  const std::vector<SortedRun>& runs() const { return runs_; }

  // Everything that was added, sorted; nothing can be added afterwards. Writes what memory holds as the last run, and
  // merges runs into longer ones until few are left.
  std::vector<SortedRun> Finish();

 private:
  struct Entry {
    uint64_t first_bytes;  // of the record: settles most comparisons without a look at it
    size_t offset;
    size_t size;
  };
  void WriteRun();
  std::string NextName();
  std::string_view At(const Entry& entry) const { return {bytes_.data() + entry.offset, entry.size}; }

  std::string folder_;
  int64_t memory_bytes_;
  std::vector<SortedRun> runs_;
  int64_t next_number_ = 0;
  std::string bytes_;
  std::vector<Entry> entries_;
};

}  // namespace lifescope
