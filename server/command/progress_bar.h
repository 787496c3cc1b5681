// What a long-running verb shows on standard error while it works.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace lifescope {

// On a terminal one line, redrawn at most ten times a second, with the time that is left; elsewhere (a log) a line
// about every ten seconds. Nothing is shown for work that ends sooner than the first of them. Not thread-safe.
class ProgressBar {
 public:
  // `total` 0: unknown.
  ProgressBar(std::string label, int64_t total);
  // Wipes the line.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Another stage: label and clock start anew.
  void Begin(std::string label, int64_t total);
  // `figures`: what the reader wants to watch, "loss 2.81".
  void Update(int64_t done, const std::string& figures = {});
  // A line that stays, above the bar.
  void Note(const std::string& line);
  // For callbacks that name their stage with every call.
  void UpdateStage(const std::string& stage, int64_t done, int64_t total);

 private:
  using Clock = std::chrono::steady_clock;

  std::string Line(int64_t done, const std::string& figures) const;

  std::string label_;
  int64_t total_ = 0;
  int64_t first_done_ = -1;  // of this stage: a resumed run does not start at 0
  Clock::time_point start_, shown_;
  const bool is_terminal_;
  bool drawn_ = false;
};

// "4.2 s", "3 min 05 s".
std::string DurationText(double seconds);

// Seconds since it was made.
class Stopwatch {
 public:
  double Seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace lifescope
