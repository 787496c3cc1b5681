// One process at a time.
#pragma once

#include <string>

namespace lifescope {

// An exclusive lock on a file, which is made for it and removed with it; the kernel lets go however the process ends.
// Not for threads of one process to share, but a second object on the same file is refused in one process too.
class FileLock {
 public:
  // Throws c10::ValueError: with the message `held` when another has it; naming the path when it cannot be locked.
  FileLock(std::string path, const std::string& held);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  const std::string path_;
  int fd_ = -1;
};

}  // namespace lifescope
