// A process of its own that writes to a store until it is killed.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "storage/store.h"

namespace lifescope {

class WriterProcess {
 public:
  // Makes write number n (from 0); the name it is known by afterwards.
  using Write = std::function<absl::StatusOr<std::string>(Store& store, int number)>;

  // Forks. The child opens `url` and writes for ever; the name of each write is reported once the store has
  // acknowledged it. Call with no other thread running.
  WriterProcess(const std::string& url, const Write& write);
  // Kills.
  ~WriterProcess();

  // Waits until the child has reported `count` more writes; false if it died before.
  bool AwaitReports(int count);
  // SIGKILL; every name that was ever reported.
  std::vector<std::string> Kill();

 private:
  // Reads what the child says; false at the end.
  bool ReadSome();

  pid_t child_ = -1;
  int reports_ = -1;
  std::string text_;
  size_t awaited_ = 0;
};

}  // namespace lifescope
