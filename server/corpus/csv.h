// Reads CSV and TSV tables as RFC 4180 describes them: a header, a delimiter, quotes doubled inside quotes, LF or CRLF.
// A byte order mark and empty lines are skipped. Reads piece by piece: the size of a table costs no memory.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

namespace lifescope {

struct CsvFormat {
  char delimiter = ',';
  bool latin1 = false;  // cells are ISO 8859-1 and come out as UTF-8; else they must be UTF-8

  bool operator==(const CsvFormat&) const = default;
};

// Not thread-safe.
class CsvReader {
 public:
  struct Row {
    int64_t line = 0;  // where it starts, from 1
    std::vector<std::string> cells;
    std::string fault;  // what is wrong with its form; empty: it has as many cells as the header
  };

  // Where a row starts.
  struct Place {
    int64_t offset = 0;  // in bytes
    int64_t line = 1;
  };

  // Throws c10::ValueError naming the file when it cannot be read or has no header.
  explicit CsvReader(const std::string& path, const CsvFormat& format = {});

  const std::string& path() const { return path_; }
  const std::vector<std::string>& header() const { return header_; }
  // Throws c10::ValueError naming the file and its columns when there is none of that name.
  size_t Column(const std::string& name) const;

  // The next row; false at the end. Throws c10::ValueError on a quote that is never closed, since nothing after it can
  // be trusted.
  bool Next(Row* row);

  // The next row's; what Next was told to go on from by Seek.
  Place place() const { return {piece_offset_ + static_cast<int64_t>(at_), line_}; }
  void Seek(const Place& place);

 private:
  bool ReadPiece();
  int Peek();
  void SkipEmptyLines();
  void ReadRow(Row* row);
  bool NextCell(std::string* cell, std::string* fault);
  void ReadQuoted(std::string* cell);
  void ReadPlain(std::string* cell);
  void CheckText(std::string* cell, std::string* fault) const;

  std::string path_;
  CsvFormat format_;
  std::ifstream file_;
  std::string piece_;         // of the file
  int64_t piece_offset_ = 0;  // where it stands in the file
  size_t at_ = 0;             // in the piece
  int64_t line_ = 1;
  std::vector<std::string> header_;
};

}  // namespace lifescope
