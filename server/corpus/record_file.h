// Byte records: how they are put together and taken apart, and files of them.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "server/artifact/output_file.h"

namespace lifescope {

// Fixed-width numbers are big-endian, so that records compare as bytes the way their numbers do.
void AppendNumber(uint64_t value, int bytes, std::string* record);
// Keeps the order of signed numbers.
void AppendSigned(int64_t value, std::string* record);
// Keeps the order of finite doubles.
void AppendDouble(double value, std::string* record);
// With its length before it; does not keep an order.
void AppendText(std::string_view text, std::string* record);
void AppendTexts(const std::vector<std::string>& texts, std::string* record);

// Takes a record apart from the front. A call that finds fewer bytes than it needs throws c10::Error. The record must
// outlive what Text gives.
class RecordParser {
 public:
  explicit RecordParser(std::string_view record) : rest_(record) {}

  uint64_t Number(int bytes);
  int64_t Signed();
  double Double();
  std::string_view Text();
  std::vector<std::string> Texts();

 private:
  std::string_view Take(size_t bytes);
  std::string_view rest_;
};

// A file of records, each with its length before it. Not thread-safe.
class RecordWriter {
 public:
  explicit RecordWriter(const std::string& path) : path_(path), file_(path) {}
  // Throws c10::ValueError naming the path when the record has 4 GiB or more, or cannot be written.
  void Add(std::string_view record);
  FileDigest Finish() { return file_.Finish(); }

 private:
  std::string path_;
  OutputFile file_;
};

// Not thread-safe.
class RecordReader {
 public:
  // Throws c10::ValueError naming the path when it cannot be opened. Holds about `buffer_bytes`, or one record if that
  // is longer.
  explicit RecordReader(const std::string& path, size_t buffer_bytes = 1 << 18);

  // The next record, which stands until the next call; false at the end. Throws c10::ValueError on a file that ends
  // within a record.
  bool Next(std::string_view* record);

 private:
  bool Fill(size_t bytes);

  std::string path_;
  std::ifstream file_;
  size_t buffer_bytes_;
  std::string buffer_;
  size_t at_ = 0;
};

}  // namespace lifescope
