#include "server/artifact/zip_writer.h"

#include <array>
#include <cstdint>
#include <stdexcept>

namespace lifescope {
namespace {

std::string Little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

constexpr std::array<uint32_t, 256> CrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    table[byte] = crc;
  }
  return table;
}

uint32_t Crc32(const std::string& bytes) {
  static constexpr std::array<uint32_t, 256> kTable = CrcTable();
  uint32_t crc = ~uint32_t{0};
  for (const char byte : bytes) crc = crc >> 8 ^ kTable[(crc ^ static_cast<uint8_t>(byte)) & 0xff];
  return ~crc;
}

// An extra field, as torch names it, after which the bytes of a record are aligned.
std::string Padding(size_t position, size_t alignment) {
  if (position % alignment == 0) return "";
  constexpr size_t kHeader = 4;
  const size_t length = alignment - (position + kHeader) % alignment;
  std::string field("FB");
  field += Little(length, 2);
  return field + std::string(length, 'Z');
}

}  // namespace

std::string ZipOf(const ZipRecords& records, size_t alignment) {
  std::string archive, directory;
  for (const auto& [name, bytes] : records) {
    // Version, flags, method, time and date, checksum, both sizes, size of the name.
    const std::string fields = Little(20, 2) + Little(0, 2) + Little(0, 2) + Little(0, 4) + Little(Crc32(bytes), 4) +
                               Little(bytes.size(), 4) + Little(bytes.size(), 4) + Little(name.size(), 2);
    directory += Little(0x02014b50, 4) + Little(20, 2) + fields + std::string(12, 0) + Little(archive.size(), 4) + name;
    archive += Little(0x04034b50, 4) + fields;
    const std::string extra = Padding(archive.size() + 2 + name.size(), alignment);
    archive += Little(extra.size(), 2) + name + extra + bytes;
  }
  if (archive.size() + directory.size() > UINT32_MAX || records.size() > UINT16_MAX) {
    throw std::invalid_argument("a zip archive of " + std::to_string(archive.size()) + " bytes and " +
                                std::to_string(records.size()) + " records, expected at most 4 GiB and 65535 records");
  }
  return archive + directory + Little(0x06054b50, 4) + Little(0, 4) + Little(records.size(), 2) +
         Little(records.size(), 2) + Little(directory.size(), 4) + Little(archive.size(), 4) + Little(0, 2);
}

}  // namespace lifescope
