// A file written from front to back and hashed on the way, so that nothing is read again to know its digest.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace lifescope {

// SHA-256 of bytes that come in pieces. Not thread-safe.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;

  void Update(std::string_view bytes);
  // "sha256:" + 64 lower-case hex digits; nothing can be added afterwards.
  std::string Finish();

 private:
  void* context_;  // EVP_MD_CTX
};

struct FileDigest {
  int64_t bytes = 0;
  std::string sha256;  // "sha256:..."
  bool operator==(const FileDigest&) const = default;
};

// Not thread-safe. Throws c10::ValueError naming the path and the reason; a file that was there is never replaced.
class OutputFile {
 public:
  explicit OutputFile(std::string path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void Append(std::string_view bytes);
  // The file is on disk when it returns; nothing can be added afterwards.
  FileDigest Finish();

 private:
  void Flush();

  std::string path_;
  int fd_;
  std::string buffer_;
  int64_t bytes_ = 0;
  Sha256Stream sha256_;
};

}  // namespace lifescope
