// The working folder of an import: what it has done so far, so that it can be killed at any time and go on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "server/artifact/file_lock.h"
#include "server/artifact/output_file.h"
#include "server/corpus/csv.h"
#include "server/corpus/import_report.h"

namespace lifescope {

// In order. Each names what is done.
enum class ImportStage { kReading, kSorted, kJoined, kFitted, kEncoded };

struct ImportState {
  ImportStage stage = ImportStage::kReading;
  // What the stage left in the folder; all else there is rubbish.
  std::map<std::string, FileDigest> files;
  // kReading: the input file and the row to go on with.
  int64_t input = 0;
  CsvReader::Place place;
  // From kJoined on: the lives in lives.records.
  int64_t life_count = 0;
  TableImportReport report;
};

// One process at a time: the folder is locked until the object goes. Not thread-safe. Throws c10::ValueError naming
// the folder or file and what is wrong with it.
class ImportWork {
 public:
  // Goes on where an earlier process stopped when the folder holds the same job; a folder of another job is refused
  // unless `start_over`, which discards it. `job`: a JSON object of all that decides the result. Every file that the
  // state lists is checked against its digest.
  ImportWork(std::string folder, const std::string& job, bool start_over);

  const std::string& folder() const { return folder_; }
  std::string PathOf(const std::string& name) const { return folder_ + "/" + name; }
  const ImportState& state() const { return state_; }
  // In one step: from now on this is where the import stands. Removes every file that `state` does not list.
  void Save(const ImportState& state);
  // The import is done: removes the folder.
  void Remove();

 private:
  void CheckJob(const std::string& job) const;
  void Load();
  void RemoveUnlisted() const;

  std::string folder_;
  std::unique_ptr<FileLock> lock_;
  ImportState state_;
};

}  // namespace lifescope
