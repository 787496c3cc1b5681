#include "tests/storage/writer_process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "absl/strings/str_split.h"

namespace lifescope {
namespace {

[[noreturn]] void WriteForEver(const std::string& url, const WriterProcess::Write& write, int reports) {
  absl::StatusOr<std::unique_ptr<Store>> store = OpenStore(url);
  if (!store.ok()) _exit(2);
  for (int number = 0;; ++number) {
    const absl::StatusOr<std::string> name = write(**store, number);
    if (!name.ok()) _exit(3);
    const std::string line = *name + "\n";
    if (::write(reports, line.data(), line.size()) != static_cast<ssize_t>(line.size())) _exit(4);
  }
}

}  // namespace

WriterProcess::WriterProcess(const std::string& url, const Write& write) {
  std::array<int, 2> ends;
  if (pipe(ends.data()) != 0) throw std::runtime_error("pipe failed");
  child_ = fork();
  if (child_ < 0) throw std::runtime_error("fork failed");
  if (child_ == 0) {
    close(ends[0]);
    WriteForEver(url, write, ends[1]);
  }
  close(ends[1]);
  reports_ = ends[0];
}

WriterProcess::~WriterProcess() {
  if (child_ > 0) Kill();
  close(reports_);
}

bool WriterProcess::ReadSome() {
  std::array<char, 4096> buffer;
  const ssize_t size = read(reports_, buffer.data(), buffer.size());
  if (size <= 0) return false;
  text_.append(buffer.data(), static_cast<size_t>(size));
  return true;
}

bool WriterProcess::AwaitReports(int count) {
  awaited_ += static_cast<size_t>(count);
  while (static_cast<size_t>(std::count(text_.begin(), text_.end(), '\n')) < awaited_) {
    if (!ReadSome()) return false;
  }
  return true;
}

std::vector<std::string> WriterProcess::Kill() {
  kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
  child_ = -1;
  while (ReadSome()) {
  }
  return absl::StrSplit(text_, '\n', absl::SkipEmpty());
}

}  // namespace lifescope
