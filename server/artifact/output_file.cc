#include "server/artifact/output_file.h"

#include <c10/util/Exception.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace lifescope {
namespace {

constexpr size_t kBufferBytes = 1 << 18;

std::string Reason(int error) { return std::generic_category().message(error); }

}  // namespace

Sha256Stream::Sha256Stream() : context_(EVP_MD_CTX_new()) {
  const bool ready =
      context_ != nullptr && EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_), EVP_sha256(), nullptr) == 1;
  TORCH_CHECK(ready, "OpenSSL has no SHA-256");
}

Sha256Stream::~Sha256Stream() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }

void Sha256Stream::Update(std::string_view bytes) {
  TORCH_CHECK(EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes.data(), bytes.size()) == 1,
              "OpenSSL: SHA-256 failed");
}

std::string Sha256Stream::Finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  TORCH_CHECK(EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), digest.data(), &size) == 1,
              "OpenSSL: SHA-256 failed");
  std::string text = "sha256:";
  for (unsigned int i = 0; i < size; ++i) {
    constexpr char kHex[] = "0123456789abcdef";
    text += {kHex[digest[i] >> 4], kHex[digest[i] & 15]};
  }
  return text;
}

OutputFile::OutputFile(std::string path)
    : path_(std::move(path)), fd_(open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
  TORCH_CHECK_VALUE(fd_ >= 0, path_, ": cannot be created: ", Reason(errno));
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) close(fd_);
}

void OutputFile::Append(std::string_view bytes) {
  buffer_ += bytes;
  if (buffer_.size() >= kBufferBytes) Flush();
}

FileDigest OutputFile::Finish() {
  Flush();
  TORCH_CHECK_VALUE(fsync(fd_) == 0, path_, ": cannot be synced: ", Reason(errno));
  close(std::exchange(fd_, -1));
  return {bytes_, sha256_.Finish()};
}

void OutputFile::Flush() {
  sha256_.Update(buffer_);
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t written = write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (written < 0 && errno == EINTR) continue;
    TORCH_CHECK_VALUE(written > 0, path_, ": cannot be written: ", Reason(errno));
    done += static_cast<size_t>(written);
  }
  bytes_ += static_cast<int64_t>(buffer_.size());
  buffer_.clear();
}

}  // namespace lifescope
