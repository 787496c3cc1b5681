// Artefacts: immutable bytes on disk, known by the SHA-256 of their content.
#pragma once

#include <cstddef>
#include <cstdint>
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

 private:
  MappedFile(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  const uint8_t* data_;
  size_t size_;
};

// "sha256:" + 64 lower-case hex digits.
std::string Sha256(std::string_view bytes);
std::string Sha256OfFile(const std::string& path);

// The whole file. Throws c10::ValueError naming the path and the reason.
std::string ReadFile(const std::string& path);

// Replaces `path` in one step: temporary file beside it, fsync, rename, fsync of the folder. A reader sees the
// old bytes or the new ones. Throws c10::ValueError.
void WriteFileAtomically(const std::string& path, std::string_view bytes);

}  // namespace lifescope
