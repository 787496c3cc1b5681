// Artefacts: immutable bytes on disk, known by the SHA-256 of their content.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace lifescope {

class FileLock;

// A file mapped read-only. Immutable and thread-safe.
class MappedFile {
 public:
  // Throws c10::ValueError naming the path when it is missing or not a readable regular file.
  static std::shared_ptr<const MappedFile> Open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  // Takes the pages that were read out of the process' resident memory; the next access brings them back.
  void ReleasePages() const;

 private:
  MappedFile(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  const uint8_t* data_;
  size_t size_;
};

// "sha256:" + 64 lower-case hex digits.
std::string Sha256(std::string_view bytes);
// Reads the file piece by piece: its size costs no memory.
std::string Sha256OfFile(const std::string& path);

// The whole file. Throws c10::ValueError naming the path and the reason.
std::string ReadFile(const std::string& path);

// Replaces `path` in one step: temporary file beside it, fsync, rename, fsync of the folder. A reader sees the
// old bytes or the new ones. Throws c10::ValueError.
void WriteFileAtomically(const std::string& path, std::string_view bytes);

// Removes what killed writers of WriteFileAtomically left beside `path`; of other files nothing. For the one process
// that may write `path`: it takes what a living one writes as well.
void RemoveTemporaries(const std::string& path);

// Where something unfinished stands beside `path`: hidden, under its name with a suffix.
// "corpora/world" (or "corpora/world/") and ".partial" give "corpora/.world.partial".
std::string HiddenBeside(const std::string& path, const std::string& suffix);

// Puts a finished folder in its place in one step, on disk when it returns. Throws c10::ValueError when `to` exists.
void MoveFolder(const std::string& from, const std::string& to);

// A new artefact folder while it is written: hidden beside its place (".<name>.partial"), emptied first of what a
// killed writer left there, and removed again unless it is published. One writer per artefact.
class PartialFolder {
 public:
  // Throws c10::ValueError when `folder` exists or cannot be made, or another process is writing it.
  explicit PartialFolder(const std::string& folder);
  ~PartialFolder();
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;

  const std::string& path() const { return path_; }
  // Makes the folder visible in one step, on disk when it returns.
  void Publish();

 private:
  const std::string folder_, path_;
  std::unique_ptr<FileLock> lock_;
};

// Makes a new artefact folder in one step: `write` fills the partial folder, whose path it is given. When it throws,
// nothing is left. Throws c10::ValueError as PartialFolder.
void WriteFolderAtomically(const std::string& folder, const std::function<void(const std::string& partial)>& write);

}  // namespace lifescope
