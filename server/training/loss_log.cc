#include "server/training/loss_log.h"

#include <c10/util/Exception.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "server/artifact/artifact.h"

namespace lifescope {
namespace {

constexpr char kHeader[] = "step,lr,loss_total,loss_mlm,loss_sop,val_mlm\n";

std::string Reason(int error) { return std::generic_category().message(error); }

// The next line of `text` with its end, which is taken off; empty when there is no whole line.
std::string_view TakeLine(std::string_view* text) {
  const size_t end = text->find('\n');
  if (end == std::string_view::npos) return {};
  const std::string_view line = text->substr(0, end + 1);
  text->remove_prefix(end + 1);
  return line;
}

// Bytes of the header and the first `step` lines.
size_t PrefixLength(const std::string& path, const std::string& text, int64_t step) {
  std::string_view left = text;
  TORCH_CHECK_VALUE(TakeLine(&left) == kHeader, path, ":1: expected the header ", kHeader);
  for (int64_t i = 1; i <= step; ++i) {
    const std::string start = std::to_string(i) + ",";
    TORCH_CHECK_VALUE(TakeLine(&left).substr(0, start.size()) == start, path, ":", i + 1, ": expected step ", i);
  }
  return text.size() - left.size();
}

std::string ToText(const LossLine& line) {
  char text[200];
  int length = std::snprintf(text, sizeof(text), "%lld,%.6g,%.6f,%.6f,%.6f,", static_cast<long long>(line.step),
                             line.learning_rate, line.loss, line.mlm_loss, line.sop_loss);
  std::string row(text, static_cast<size_t>(length));
  if (line.validation_mlm_loss) row += std::to_string(*line.validation_mlm_loss);
  return row + "\n";
}

}  // namespace

LossLog::LossLog(const std::string& path, int64_t step) : path_(path) {
  std::string kept = kHeader;
  if (step > 0) {
    kept = ReadFile(path);
    kept.resize(PrefixLength(path, kept, step));
  }
  WriteFileAtomically(path, kept);
  file_ = open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  TORCH_CHECK_VALUE(file_ >= 0, path, ": cannot be opened: ", Reason(errno));
}

LossLog::~LossLog() { close(file_); }

void LossLog::Append(const LossLine& line) {
  const std::string text = ToText(line);
  std::string_view left = text;
  while (!left.empty()) {
    const ssize_t written = write(file_, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    TORCH_CHECK_VALUE(written > 0, path_, ": cannot be written: ", written < 0 ? Reason(errno) : "nothing was taken");
    left.remove_prefix(static_cast<size_t>(written));
  }
}

void LossLog::Sync() { TORCH_CHECK_VALUE(fsync(file_) == 0, path_, ": cannot be synced: ", Reason(errno)); }

std::vector<LossLine> ReadLossLog(const std::string& path) {
  const std::string text = ReadFile(path);
  std::string_view left = text;
  TORCH_CHECK_VALUE(TakeLine(&left) == kHeader, path, ":1: expected the header ", kHeader);
  std::vector<LossLine> lines;
  while (!left.empty()) {
    const std::string row(TakeLine(&left));
    LossLine line;
    long long step = 0;
    int end = -1;
    std::sscanf(row.c_str(), "%lld,%lf,%lf,%lf,%lf,%n", &step, &line.learning_rate, &line.loss, &line.mlm_loss,
                &line.sop_loss, &end);
    TORCH_CHECK_VALUE(end > 0, path, ":", lines.size() + 2, ": found '", row, "', expected six fields of one step");
    line.step = step;
    if (row[static_cast<size_t>(end)] != '\n') line.validation_mlm_loss = std::atof(row.c_str() + end);
    lines.push_back(line);
  }
  return lines;
}

}  // namespace lifescope
