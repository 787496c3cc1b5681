#include "server/app/identity.h"

#include <algorithm>
#include <cstdint>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace lifescope {

std::string NewUuid() {
  thread_local std::random_device device;
  uint32_t words[4];
  for (uint32_t& word : words) word = device();
  words[1] = (words[1] & 0xffff0fffu) | 0x00004000u;  // version 4
  words[2] = (words[2] & 0x3fffffffu) | 0x80000000u;  // variant 1
  return absl::StrFormat("%08x-%04x-%04x-%04x-%04x%08x", words[0], words[1] >> 16, words[1] & 0xffffu, words[2] >> 16,
                         words[2] & 0xffffu, words[3]);
}

std::string DeterministicBytes(const google::protobuf::MessageLite& message) {
  std::string bytes;
  bytes.reserve(message.ByteSizeLong());
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream out(&stream);
  out.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&out);
  out.Trim();
  return bytes;
}

absl::Status CheckPlainText(const std::string& field, const std::string& text) {
  constexpr size_t kMaxBytes = 128;
  if (text.size() > kMaxBytes) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": ", text.size(), " bytes, expected at most ", kMaxBytes));
  }
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  if (std::any_of(text.begin(), text.end(), is_control)) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": has a control character, expected none"));
  }
  return absl::OkStatus();
}

}  // namespace lifescope
