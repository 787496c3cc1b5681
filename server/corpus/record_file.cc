#include "server/corpus/record_file.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <system_error>

namespace lifescope {
namespace {

constexpr uint64_t kSignBit = uint64_t{1} << 63;
constexpr int kLengthBytes = 4;

}  // namespace

void AppendNumber(uint64_t value, int bytes, std::string* record) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) *record += static_cast<char>(value >> shift & 0xFF);
}

void AppendSigned(int64_t value, std::string* record) {
  AppendNumber(static_cast<uint64_t>(value) ^ kSignBit, 8, record);
}

void AppendDouble(double value, std::string* record) {
  const auto bits = std::bit_cast<uint64_t>(value);
  AppendNumber(bits & kSignBit ? ~bits : bits | kSignBit, 8, record);
}

void AppendText(std::string_view text, std::string* record) {
  AppendNumber(text.size(), kLengthBytes, record);
  *record += text;
}

void AppendTexts(const std::vector<std::string>& texts, std::string* record) {
  AppendNumber(texts.size(), 2, record);
  for (const std::string& text : texts) AppendText(text, record);
}

std::string_view RecordParser::Take(size_t bytes) {
  TORCH_CHECK(bytes <= rest_.size(), "a record ends ", bytes - rest_.size(), " bytes too early");
  const std::string_view taken = rest_.substr(0, bytes);
  rest_.remove_prefix(bytes);
  return taken;
}

uint64_t RecordParser::Number(int bytes) {
  uint64_t value = 0;
  for (const unsigned char byte : Take(static_cast<size_t>(bytes))) value = value << 8 | byte;
  return value;
}

int64_t RecordParser::Signed() { return static_cast<int64_t>(Number(8) ^ kSignBit); }

double RecordParser::Double() {
  const uint64_t bits = Number(8);
  return std::bit_cast<double>(bits & kSignBit ? bits ^ kSignBit : ~bits);
}

std::string_view RecordParser::Text() { return Take(Number(kLengthBytes)); }

std::vector<std::string> RecordParser::Texts() {
  std::vector<std::string> texts(Number(2));
  for (std::string& text : texts) text = Text();
  return texts;
}

void RecordWriter::Add(std::string_view record) {
  TORCH_CHECK_VALUE(record.size() <= UINT32_MAX, path_, ": a record of ", record.size(), " bytes, expected at most ",
                    UINT32_MAX);
  std::string length;
  AppendNumber(record.size(), kLengthBytes, &length);
  file_.Append(length);
  file_.Append(record);
}

RecordReader::RecordReader(const std::string& path, size_t buffer_bytes)
    : path_(path), file_(path, std::ios::binary), buffer_bytes_(buffer_bytes) {
  TORCH_CHECK_VALUE(file_.is_open(), path_, ": cannot be opened: ", std::generic_category().message(errno));
}

bool RecordReader::Next(std::string_view* record) {
  if (!Fill(kLengthBytes)) {
    TORCH_CHECK_VALUE(at_ == buffer_.size(), path_, ": ends within a record");
    return false;
  }
  const size_t length = RecordParser({buffer_.data() + at_, kLengthBytes}).Number(kLengthBytes);
  TORCH_CHECK_VALUE(Fill(kLengthBytes + length), path_, ": ends within a record");
  *record = {buffer_.data() + at_ + kLengthBytes, length};
  at_ += kLengthBytes + length;
  return true;
}

// Makes `bytes` stand in the buffer from at_ on; false when the file has fewer.
bool RecordReader::Fill(size_t bytes) {
  if (buffer_.size() - at_ >= bytes) return true;
  buffer_.erase(0, at_);
  at_ = 0;
  const size_t had = buffer_.size();
  buffer_.resize(std::max(buffer_bytes_, bytes));
  file_.read(buffer_.data() + had, static_cast<std::streamsize>(buffer_.size() - had));
  TORCH_CHECK_VALUE(!file_.bad(), path_, ": cannot be read");
  buffer_.resize(had + static_cast<size_t>(file_.gcount()));
  return buffer_.size() >= bytes;
}

}  // namespace lifescope
