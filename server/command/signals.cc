#include "server/command/signals.h"

#include <pthread.h>
#include <unistd.h>

#include "server/app/log.h"

namespace lifescope {

SignalWatch::SignalWatch() {
  signal(SIGPIPE, SIG_IGN);
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  thread_ = std::thread([this] { Watch(); });
}

SignalWatch::~SignalWatch() {
  stopping_ = true;
  pthread_kill(thread_.native_handle(), SIGTERM);
  thread_.join();
}

bool SignalWatch::WaitFor(absl::Duration timeout) { return requested_.WaitForNotificationWithTimeout(timeout); }

void SignalWatch::Watch() {
  while (true) {
    int number = 0;
    sigwait(&signals_, &number);
    if (stopping_) return;
    const std::string name = number == SIGINT ? "SIGINT" : "SIGTERM";
    if (requested_.HasBeenNotified()) {
      Log(LogLevel::kWarning, "exit_at_once", {{"signal", name}});
      _exit(128 + number);
    }
    Log(LogLevel::kInfo, "signal", {{"signal", name}, {"next", "draining; once more ends at once"}});
    requested_.Notify();
  }
}

}  // namespace lifescope
