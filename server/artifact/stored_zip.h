// The records of a zip archive: those that are stored as they are and, where it is asked for, those that are deflated.
//
// Standard library and libzip only. Everything throws std::invalid_argument: what was found and what was expected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace lifescope {

// Not thread-safe.
class StoredZip {
 public:
  // `bytes` must outlive the archive. Refuses over `max_records` records, names that occur twice, and records that
  // together are larger than the archive: what is read never exceeds what is there.
  StoredZip(std::string_view bytes, size_t max_records);
  ~StoredZip();
  StoredZip(StoredZip&&) noexcept;
  StoredZip& operator=(StoredZip&&) noexcept;

  struct Record {
    uint64_t index = 0;  // in the archive
    uint64_t size = 0;   // bytes
    bool is_stored = true;
    bool is_deflated = false;
    uint64_t compressed_size = 0;
  };
  const std::map<std::string, Record>& records() const { return records_; }
  // Throws when there is no such record, or it is compressed or encrypted.
  const Record& Find(const std::string& name) const;
  // Throws when the checksum is wrong.
  std::string Read(const std::string& name) const;
  // Read, of a deflated record too. Throws when it claims more bytes than deflate can have made of it: at most 1,032
  // times the record, so what is read stays in proportion to the archive.
  std::string Inflate(const std::string& name) const;

 private:
  struct Archive;
  uint64_t AddRecord(uint64_t index, uint64_t left);
  std::string ReadBytes(const std::string& name, const Record& record) const;

  std::unique_ptr<Archive> archive_;
  std::map<std::string, Record> records_;
};

}  // namespace lifescope
