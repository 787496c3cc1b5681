// Reads CSV tables as RFC 4180 describes them: a header, commas, quotes doubled inside quotes, LF or CRLF. A byte
// order mark and empty lines are skipped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/artifact/artifact.h"

namespace lifescope {

// Not thread-safe.
class CsvReader {
 public:
  struct Row {
    int64_t line = 0;  // where it starts, from 1
    std::vector<std::string> cells;
    std::string fault;  // what is wrong with its form; empty: it has as many cells as the header
  };

  // Throws c10::ValueError naming the file when it cannot be read or has no header.
  explicit CsvReader(const std::string& path);

  const std::string& path() const { return path_; }
  const std::vector<std::string>& header() const { return header_; }
  // Lines after the header: rows, unless some span lines or are empty.
  int64_t line_count() const { return line_count_; }
  // Throws c10::ValueError naming the file and its columns when there is none of that name.
  size_t Column(const std::string& name) const;

  // The next row; false at the end. Throws c10::ValueError on a quote that is never closed, since nothing after it can
  // be trusted.
  bool Next(Row* row);

 private:
  bool NextCell(std::string* cell, std::string* fault);
  void ReadRow(Row* row);

  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  std::string_view text_;
  size_t offset_ = 0;
  int64_t line_ = 1;
  int64_t line_count_ = 0;
  std::vector<std::string> header_;
};

}  // namespace lifescope
