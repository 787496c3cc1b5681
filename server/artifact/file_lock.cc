#include "server/artifact/file_lock.h"

#include <c10/util/Exception.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace lifescope {
namespace {

// Whoever had it may have removed the file after it was opened here.
bool IsRemoved(int fd) {
  struct stat status;
  return fstat(fd, &status) != 0 || status.st_nlink == 0;
}

}  // namespace

FileLock::FileLock(std::string path, const std::string& held) : path_(std::move(path)) {
  do {
    if (fd_ >= 0) close(fd_);
    fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    int fault = fd_ < 0 ? errno : 0;
    if (fault == 0 && flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      fault = errno;
      close(fd_);
    }
    TORCH_CHECK_VALUE(fault != EWOULDBLOCK, held);
    TORCH_CHECK_VALUE(fault == 0, path_, ": cannot be locked: ", std::generic_category().message(fault));
  } while (IsRemoved(fd_));
}

FileLock::~FileLock() {
  // A file of that name that is no longer this one belongs to somebody else.
  if (!IsRemoved(fd_)) unlink(path_.c_str());
  close(fd_);
}

}  // namespace lifescope
