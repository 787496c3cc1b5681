// SIGINT and SIGTERM as events: the first asks for a drain, the second ends the process at once.
#pragma once

#include <signal.h>

#include <atomic>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace lifescope {

// Construct it before any other thread starts, so that every thread inherits the blocked signals; one per process.
class SignalWatch {
 public:
  // Blocks SIGINT and SIGTERM, ignores SIGPIPE, and starts the thread that waits for them.
  SignalWatch();
  ~SignalWatch();

  // True once the first signal has come; waits for it at most `timeout`.
  bool WaitFor(absl::Duration timeout);
  bool requested() const { return requested_.HasBeenNotified(); }

 private:
  void Watch();

  sigset_t signals_;
  absl::Notification requested_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace lifescope
