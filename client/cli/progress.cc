#include "client/cli/progress.h"

#include <array>
#include <ostream>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace lifescope {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(2);
constexpr absl::Duration kFrame = absl::Milliseconds(100);
constexpr std::array<const char*, 10> kSpinner = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};

}  // namespace

Progress::Progress(Terminal& terminal, const std::string& what) : terminal_(terminal) {
  if (terminal.live) drawer_ = std::thread([this, what] { Draw(what); });
}

Progress::~Progress() {
  done_.Notify();
  if (drawer_.joinable()) drawer_.join();
}

void Progress::Count(int64_t done, int64_t total) {
  total_ = total;
  counted_ = done;
}

void Progress::Draw(const std::string& what) {
  const absl::Time start = absl::Now();
  if (done_.WaitForNotificationWithTimeout(kPatience)) return;
  size_t frame = 0;
  do {
    const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
    terminal_.err << "\r" << kSpinner[frame++ % kSpinner.size()] << " " << what << absl::StrFormat("  %.1f s", seconds);
    if (const int64_t counted = counted_; counted > 0) {
      const double left = seconds / static_cast<double>(counted) * static_cast<double>(total_ - counted);
      terminal_.err << absl::StrFormat("  %d of %d, %.0f s left", counted, total_.load(), left) << "\033[K";
    }
    terminal_.err << std::flush;
  } while (!done_.WaitForNotificationWithTimeout(kFrame));
  terminal_.err << "\r\033[K" << std::flush;
}

}  // namespace lifescope
