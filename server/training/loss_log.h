// The losses of a training as a file of one line per step, which a killed process leaves whole up to its last step.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lifescope {

struct LossLine {
  int64_t step = 0;  // from 1
  double learning_rate = 0;
  double loss = 0;
  double mlm_loss = 0;
  double sop_loss = 0;
  std::optional<double> validation_mlm_loss;
};

// CSV: step,lr,loss_total,loss_mlm,loss_sop,val_mlm; the last is empty where there was no validation. Not thread-safe.
class LossLog {
 public:
  // Keeps the lines of the first `step` steps and cuts what a killed process wrote after them; 0: a new file. Throws
  // c10::ValueError when the file cannot be written or lacks one of those lines.
  LossLog(const std::string& path, int64_t step);
  ~LossLog();
  LossLog(const LossLog&) = delete;
  LossLog& operator=(const LossLog&) = delete;

  // In the hands of the operating system when it returns.
  void Append(const LossLine& line);
  // On disk when it returns.
  void Sync();

 private:
  const std::string path_;
  int file_ = -1;
};

// Throws c10::ValueError naming file, line, found and expected.
std::vector<LossLine> ReadLossLog(const std::string& path);

}  // namespace lifescope
