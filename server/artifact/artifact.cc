#include "server/artifact/artifact.h"

#include <c10/util/Exception.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "server/artifact/file_lock.h"
#include "server/artifact/output_file.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;

// Between a path and the process that is writing it.
const char kTemporary[] = ".tmp-";

std::string Reason(int error) { return std::generic_category().message(error); }

// Closes the descriptor at the end of the scope.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

// Non-blocking, so that a FIFO at `path` is refused and not waited for.
int OpenForReading(const std::string& path, size_t* size) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  TORCH_CHECK_VALUE(fd >= 0, path, ": cannot be opened: ", Reason(errno));
  struct stat status;
  const bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  if (!regular) close(fd);
  TORCH_CHECK_VALUE(regular, path, ": not a regular file");
  *size = static_cast<size_t>(status.st_size);
  return fd;
}

void WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    TORCH_CHECK_VALUE(written > 0, path, ": cannot be written: ", Reason(errno));
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

void SyncFolder(const std::string& folder) {
  const Descriptor descriptor{open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  TORCH_CHECK_VALUE(descriptor.fd >= 0 && fsync(descriptor.fd) == 0, folder, ": cannot be synced: ", Reason(errno));
}

// "raw" of "raw/".
fs::path WithoutSlash(const std::string& path) {
  const fs::path place(path);
  return place.has_filename() ? place : place.parent_path();
}

std::string FolderOf(const std::string& path) {
  const std::string folder = WithoutSlash(path).parent_path();
  return folder.empty() ? "." : folder;
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::Open(const std::string& path) {
  size_t size = 0;
  const Descriptor descriptor{OpenForReading(path, &size)};
  void* data = nullptr;
  if (size > 0) {  // a mapping of no bytes is an error
    data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.fd, 0);
    TORCH_CHECK_VALUE(data != MAP_FAILED, path, ": cannot be mapped: ", Reason(errno));
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(static_cast<const uint8_t*>(data), size));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
}

void MappedFile::ReleasePages() const {
  if (data_ != nullptr) madvise(const_cast<uint8_t*>(data_), size_, MADV_DONTNEED);
}

std::string Sha256(std::string_view bytes) {
  Sha256Stream stream;
  stream.Update(bytes);
  return stream.Finish();
}

std::string Sha256OfFile(const std::string& path) {
  size_t size = 0;
  const Descriptor descriptor{OpenForReading(path, &size)};
  Sha256Stream stream;
  std::string piece(1 << 18, '\0');
  while (true) {
    const ssize_t count = read(descriptor.fd, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    TORCH_CHECK_VALUE(count >= 0, path, ": cannot be read: ", Reason(errno));
    if (count == 0) return stream.Finish();
    stream.Update({piece.data(), static_cast<size_t>(count)});
  }
}

std::string ReadFile(const std::string& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::Open(path);
  return std::string(reinterpret_cast<const char*>(file->data()), file->size());
}

void WriteFileAtomically(const std::string& path, std::string_view bytes) {
  static std::atomic<uint64_t> count{0};
  const std::string temporary = path + kTemporary + std::to_string(getpid()) + "-" + std::to_string(count++);
  try {
    const Descriptor descriptor{open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)};
    TORCH_CHECK_VALUE(descriptor.fd >= 0, path, ": cannot be created: ", Reason(errno));
    WriteAll(descriptor.fd, bytes, path);
    TORCH_CHECK_VALUE(fsync(descriptor.fd) == 0, path, ": cannot be synced: ", Reason(errno));
    TORCH_CHECK_VALUE(rename(temporary.c_str(), path.c_str()) == 0, path, ": cannot be replaced: ", Reason(errno));
  } catch (...) {
    unlink(temporary.c_str());
    throw;
  }
  SyncFolder(FolderOf(path));
}

void RemoveTemporaries(const std::string& path) {
  const std::string start = fs::path(path).filename().string() + kTemporary;
  std::error_code error;
  for (fs::directory_iterator entry(FolderOf(path), error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;
    if (name.compare(0, start.size(), start) == 0) fs::remove(entry->path(), ignored);
  }
}

std::string HiddenBeside(const std::string& path, const std::string& suffix) {
  const fs::path place = WithoutSlash(path);
  std::string name = ".";
  name += place.filename().string();
  name += suffix;
  return place.parent_path() / name;
}

void MoveFolder(const std::string& from, const std::string& to) {
  TORCH_CHECK_VALUE(!fs::exists(to), to, ": exists already; an artefact is never changed");
  TORCH_CHECK_VALUE(rename(from.c_str(), to.c_str()) == 0, to, ": cannot be put in place: ", Reason(errno));
  SyncFolder(FolderOf(to));
}

PartialFolder::PartialFolder(const std::string& folder)
    : folder_(fs::absolute(WithoutSlash(folder)).string()), path_(HiddenBeside(folder_, ".partial")) {
  TORCH_CHECK_VALUE(!fs::exists(folder_), folder, ": exists already; an artefact is never changed");
  std::error_code error;
  fs::create_directories(FolderOf(folder_), error);
  TORCH_CHECK_VALUE(!error, FolderOf(folder_), ": cannot be made: ", error.message());
  lock_ = std::make_unique<FileLock>(path_ + ".lock", folder + ": another process is writing it");
  fs::remove_all(path_, error);
  fs::create_directory(path_, error);
  TORCH_CHECK_VALUE(!error, path_, ": cannot be made: ", error.message());
}

PartialFolder::~PartialFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void PartialFolder::Publish() {
  SyncFolder(path_);
  MoveFolder(path_, folder_);
}

void WriteFolderAtomically(const std::string& folder, const std::function<void(const std::string& partial)>& write) {
  PartialFolder partial(folder);
  write(partial.path());
  partial.Publish();
}

}  // namespace lifescope
