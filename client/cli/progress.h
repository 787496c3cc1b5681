// A line on stderr while the server is at work.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "client/cli/terminal.h"

namespace lifescope {

// Draws "⠹ encoding  3.4 s" once two seconds have passed, until it goes out of scope; then wipes it. Draws nothing
// where stderr is not a terminal.
class Progress {
 public:
  Progress(Terminal& terminal, const std::string& what);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // What has come of what will: the line says so and guesses the time that is left.
  void Count(int64_t done, int64_t total);

 private:
  void Draw(const std::string& what);

  Terminal& terminal_;
  std::atomic<int64_t> counted_{0};
  std::atomic<int64_t> total_{0};
  absl::Notification done_;
  std::thread drawer_;
};

}  // namespace lifescope
