#include "server/corpus/csv.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "server/corpus/table_fault.h"

namespace lifescope {
namespace {

constexpr size_t kPieceBytes = 1 << 18;
// A longer cell is a quote that somebody forgot to close, far from where the file would end.
constexpr size_t kLongestCell = 1 << 20;
constexpr int kEnd = -1;

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "'" : ", '") + name + "'";
  return text;
}

bool IsContinuation(unsigned char c) { return (c & 0xC0) == 0x80; }

// Well-formed as Unicode's table 3-7 says: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t k) { return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0; };
    const unsigned char first = byte(0), second = byte(1);
    if (first < 0x80) {
      i += 1;
    } else if (first >= 0xC2 && first <= 0xDF && IsContinuation(second)) {
      i += 2;
    } else if (first >= 0xE0 && first <= 0xEF && IsContinuation(second) && IsContinuation(byte(2)) &&
               (first != 0xE0 || second >= 0xA0) && (first != 0xED || second < 0xA0)) {
      i += 3;
    } else if (first >= 0xF0 && first <= 0xF4 && IsContinuation(second) && IsContinuation(byte(2)) &&
               IsContinuation(byte(3)) && (first != 0xF0 || second >= 0x90) && (first != 0xF4 || second < 0x90)) {
      i += 4;
    } else {
      return false;
    }
  }
  return true;
}

std::string FromLatin1(std::string_view text) {
  std::string utf8;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 0x80) {
      utf8 += c;
    } else {
      utf8 += {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
    }
  }
  return utf8;
}

}  // namespace

CsvReader::CsvReader(const std::string& path, const CsvFormat& format)
    : path_(path), format_(format), file_(path, std::ios::binary) {
  TORCH_CHECK_VALUE(file_.is_open(), path_, ": cannot be opened: ", std::generic_category().message(errno));
  ReadPiece();
  if (piece_.compare(0, 3, "\xEF\xBB\xBF") == 0) at_ = 3;
  Row row;
  TORCH_CHECK_VALUE(Next(&row), path_, ": is empty, expected a header");
  TORCH_CHECK_VALUE(row.fault.empty(), path_, ":", row.line, ": ", row.fault);
  header_ = std::move(row.cells);
}

size_t CsvReader::Column(const std::string& name) const {
  const auto found = std::find(header_.begin(), header_.end(), name);
  TORCH_CHECK_VALUE(found != header_.end(), path_, ":1: no column '", name, "', found ", Joined(header_));
  return static_cast<size_t>(found - header_.begin());
}

void CsvReader::Seek(const Place& place) {
  file_.clear();
  file_.seekg(place.offset);
  TORCH_CHECK_VALUE(file_.good(), path_, ": cannot go to byte ", place.offset);
  piece_.clear();
  piece_offset_ = place.offset;
  at_ = 0;
  line_ = place.line;
}

bool CsvReader::Next(Row* row) {
  SkipEmptyLines();
  if (Peek() == kEnd) return false;
  ReadRow(row);
  if (row->fault.empty() && !header_.empty() && row->cells.size() != header_.size()) {
    row->fault = std::to_string(row->cells.size()) + " columns, expected " + std::to_string(header_.size());
  }
  return true;
}

// Replaces the piece by the next one; false at the end of the file.
bool CsvReader::ReadPiece() {
  piece_offset_ += static_cast<int64_t>(piece_.size());
  at_ = 0;
  piece_.resize(kPieceBytes);
  file_.read(piece_.data(), static_cast<std::streamsize>(piece_.size()));
  TORCH_CHECK_VALUE(!file_.bad(), path_, ": cannot be read");
  piece_.resize(static_cast<size_t>(file_.gcount()));
  return !piece_.empty();
}

int CsvReader::Peek() {
  if (at_ == piece_.size() && !ReadPiece()) return kEnd;
  return static_cast<unsigned char>(piece_[at_]);
}

void CsvReader::SkipEmptyLines() {
  while (Peek() == '\n' || Peek() == '\r') {
    if (Peek() == '\n') ++line_;
    ++at_;
  }
}

void CsvReader::ReadRow(Row* row) {
  row->line = line_;
  row->fault.clear();
  size_t count = 0;
  do {
    if (count == row->cells.size()) row->cells.emplace_back();
    row->cells[count].clear();
  } while (NextCell(&row->cells[count++], &row->fault));
  row->cells.resize(count);
  ++line_;
}

// Reads one cell and what ends it; false when that was the end of the row.
bool CsvReader::NextCell(std::string* cell, std::string* fault) {
  const bool quoted = Peek() == '"';
  if (quoted) ReadQuoted(cell);
  const size_t quoted_size = cell->size();
  ReadPlain(cell);
  const bool row_ends = Peek() != static_cast<unsigned char>(format_.delimiter);
  if (Peek() != kEnd) ++at_;
  if (row_ends && cell->size() > quoted_size && cell->back() == '\r') cell->pop_back();
  if (quoted && cell->size() > quoted_size) *fault = "text after a closing quote";
  CheckText(cell, fault);
  return !row_ends;
}

void CsvReader::ReadQuoted(std::string* cell) {
  const int64_t opened = line_;
  for (++at_;; ++at_) {
    if (Peek() == kEnd || cell->size() > kLongestCell) {
      ThrowTableFault(path_, ":", opened, ": a quote that is never closed");
    }
    if (Peek() == '"') {
      ++at_;
      if (Peek() != '"') return;
    }
    if (piece_[at_] == '\n') ++line_;
    *cell += piece_[at_];
  }
}

// Up to the delimiter or the end of the line.
void CsvReader::ReadPlain(std::string* cell) {
  while (Peek() != kEnd) {
    const char ends[] = {format_.delimiter, '\n'};
    const size_t end = std::min(piece_.find_first_of(ends, at_, 2), piece_.size());
    cell->append(piece_, at_, end - at_);
    at_ = end;
    if (end < piece_.size()) return;
    if (cell->size() > kLongestCell) {
      ThrowTableFault(path_, ":", line_, ": a value of more than ", kLongestCell, " bytes");
    }
  }
}

void CsvReader::CheckText(std::string* cell, std::string* fault) const {
  bool ascii = true;
  for (const unsigned char c : *cell) {
    if (c < 0x20 || c == 0x7F) *fault = "a control character in a value";
    ascii = ascii && c < 0x80;
  }
  if (ascii) return;
  if (format_.latin1) {
    *cell = FromLatin1(*cell);
  } else if (!IsUtf8(*cell)) {
    *fault = "a value that is not UTF-8";
    cell->clear();
  }
}

}  // namespace lifescope
