#include "server/command/progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lifescope {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr auto kLogLine = std::chrono::seconds(10);
constexpr int64_t kBarWidth = 24;
constexpr char kWipeLine[] = "\r\x1b[K";

}  // namespace

std::string DurationText(double seconds) {
  if (seconds < 60) return absl::StrFormat("%.1f s", seconds);
  const auto whole = static_cast<int64_t>(std::lround(seconds));
  if (whole < 3600) return absl::StrFormat("%d min %02d s", whole / 60, whole % 60);
  return absl::StrFormat("%d h %02d min", whole / 3600, whole / 60 % 60);
}

ProgressBar::ProgressBar(std::string label, int64_t total) : is_terminal_(isatty(STDERR_FILENO) == 1) {
  Begin(std::move(label), total);
}

ProgressBar::~ProgressBar() {
  if (drawn_) std::fputs(kWipeLine, stderr);
}

void ProgressBar::Begin(std::string label, int64_t total) {
  label_ = std::move(label);
  total_ = total;
  first_done_ = -1;
  start_ = shown_ = Clock::now();
}

void ProgressBar::Update(int64_t done, const std::string& figures) {
  if (first_done_ < 0) first_done_ = done;
  const Clock::time_point now = Clock::now();
  if (is_terminal_) {
    if (now - shown_ < kRedraw) return;
    std::fputs(absl::StrCat(kWipeLine, Line(done, figures)).c_str(), stderr);
    drawn_ = true;
  } else {
    if (now - shown_ < kLogLine) return;
    std::fputs(absl::StrCat(Line(done, figures), "\n").c_str(), stderr);
  }
  std::fflush(stderr);
  shown_ = now;
}

void ProgressBar::Note(const std::string& line) {
  std::fputs(absl::StrCat(drawn_ ? kWipeLine : "", line, "\n").c_str(), stderr);
  std::fflush(stderr);
}

void ProgressBar::UpdateStage(const std::string& stage, int64_t done, int64_t total) {
  if (stage != label_) Begin(stage, total);
  total_ = total;
  Update(done);
}

std::string ProgressBar::Line(int64_t done, const std::string& figures) const {
  std::string line = label_;
  if (total_ > 0) {
    const double share = std::clamp(static_cast<double>(done) / static_cast<double>(total_), 0.0, 1.0);
    const auto filled = static_cast<int64_t>(share * static_cast<double>(kBarWidth));
    absl::StrAppend(&line, " [", std::string(filled, '#'), std::string(kBarWidth - filled, '.'), "] ",
                    absl::StrFormat("%.0f %%", 100 * share), "  ", done, "/", total_);
    const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
    if (done > first_done_) {
      const double rate = static_cast<double>(done - first_done_) / elapsed;
      absl::StrAppend(&line, "  ", DurationText(static_cast<double>(total_ - done) / rate), " left");
    }
  } else {
    absl::StrAppend(&line, "  ", done);
  }
  return figures.empty() ? line : absl::StrCat(line, "  ", figures);
}

}  // namespace lifescope
