// Artefacts: immutable bytes on disk, known by the SHA-256 of their content.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace lifescope {

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

// Where something unfinished stands beside `path`: hidden, under its name with a suffix.
// "corpora/world" (or "corpora/world/") and ".partial" give "corpora/.world.partial".
std::string HiddenBeside(const std::string& path, const std::string& suffix);

// Puts a finished folder in its place in one step, on disk when it returns. Throws c10::ValueError when `to` exists.
void MoveFolder(const std::string& from, const std::string& to);

// Makes a new artefact folder in one step: `write` fills the hidden folder beside it (".<name>.partial", emptied first)
// whose path it is given, then that is renamed. When `write` throws, nothing is left. Throws c10::ValueError when
// `folder` exists or cannot be made.
void WriteFolderAtomically(const std::string& folder, const std::function<void(const std::string& partial)>& write);

}  // namespace lifescope
