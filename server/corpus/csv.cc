#include "server/corpus/csv.h"

#include <c10/util/Exception.h>

#include <algorithm>

namespace lifescope {
namespace {

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "'" : ", '") + name + "'";
  return text;
}

}  // namespace

CsvReader::CsvReader(const std::string& path) : path_(path), file_(MappedFile::Open(path)) {
  text_ = {reinterpret_cast<const char*>(file_->data()), file_->size()};
  if (text_.substr(0, 3) == "\xEF\xBB\xBF") offset_ = 3;
  Row row;
  TORCH_CHECK_VALUE(Next(&row), path_, ": is empty, expected a header");
  TORCH_CHECK_VALUE(row.fault.empty(), path_, ":", row.line, ": ", row.fault);
  header_ = std::move(row.cells);
  const std::string_view rest = text_.substr(std::min(offset_, text_.size()));
  line_count_ = std::count(rest.begin(), rest.end(), '\n') + (rest.empty() || rest.back() == '\n' ? 0 : 1);
}

size_t CsvReader::Column(const std::string& name) const {
  const auto found = std::find(header_.begin(), header_.end(), name);
  TORCH_CHECK_VALUE(found != header_.end(), path_, ":1: no column '", name, "', found ", Joined(header_));
  return static_cast<size_t>(found - header_.begin());
}

bool CsvReader::Next(Row* row) {
  while (offset_ < text_.size() && (text_[offset_] == '\n' || text_.substr(offset_, 2) == "\r\n")) {
    offset_ += text_[offset_] == '\n' ? 1 : 2;
    ++line_;
  }
  if (offset_ >= text_.size()) return false;
  ReadRow(row);
  if (row->fault.empty() && !header_.empty() && row->cells.size() != header_.size()) {
    row->fault = std::to_string(row->cells.size()) + " columns, expected " + std::to_string(header_.size());
  }
  return true;
}

void CsvReader::ReadRow(Row* row) {
  row->line = line_;
  row->fault.clear();
  row->cells.clear();
  do {
    row->cells.emplace_back();
  } while (NextCell(&row->cells.back(), &row->fault));
  ++line_;
}

// Reads one cell and what ends it; false when that was the end of the row.
bool CsvReader::NextCell(std::string* cell, std::string* fault) {
  const bool quoted = offset_ < text_.size() && text_[offset_] == '"';
  if (quoted) {
    const int64_t opened = line_;
    for (++offset_;; ++offset_) {
      TORCH_CHECK_VALUE(offset_ < text_.size(), path_, ":", opened, ": a quote that is never closed");
      if (text_[offset_] == '"') {
        if (text_.substr(offset_ + 1, 1) != "\"") break;
        ++offset_;
      }
      if (text_[offset_] == '\n') ++line_;
      *cell += text_[offset_];
    }
    ++offset_;
  }
  const size_t end = std::min(text_.find_first_of(",\n", offset_), text_.size());
  const bool row_ends = end == text_.size() || text_[end] == '\n';
  std::string_view rest = text_.substr(offset_, end - offset_);
  if (row_ends && !rest.empty() && rest.back() == '\r') rest.remove_suffix(1);
  if (quoted && !rest.empty()) *fault = "text after a closing quote";
  cell->append(rest);
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
  if (std::any_of(cell->begin(), cell->end(), is_control)) *fault = "a control character in a value";
  offset_ = end + 1;
  return !row_ends;
}

}  // namespace lifescope
