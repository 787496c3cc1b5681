#include "client/cli/table.h"

#include <algorithm>
#include <utility>

namespace lifescope {
namespace {

constexpr int kGap = 2;
// A column that shrinks keeps at least this much.
constexpr int kNarrowest = 12;

}  // namespace

Table::Table(std::vector<Column> columns, int indent) : columns_(std::move(columns)), indent_(indent) {}

void Table::Add(std::vector<Text> cells) {
  cells.resize(columns_.size());
  rows_.push_back({std::move(cells), false});
}

void Table::AddLine(Text line) {
  Row row;
  row.cells.push_back(std::move(line));
  row.across = true;
  rows_.push_back(std::move(row));
}

std::vector<int> Table::Widths(int terminal_width) const {
  std::vector<int> widths;
  int total = indent_;
  for (size_t column = 0; column < columns_.size(); ++column) {
    int width = DisplayWidth(columns_[column].header);
    for (const Row& row : rows_) {
      if (!row.across) width = std::max(width, row.cells[column].width());
    }
    widths.push_back(width);
    total += width + (column > 0 ? kGap : 0);
  }
  if (terminal_width <= 0 || total <= terminal_width) return widths;
  for (size_t column = 0; column < columns_.size(); ++column) {
    if (!columns_[column].shrinks) continue;
    const int narrowest = std::min(widths[column], kNarrowest);
    widths[column] = std::max(narrowest, widths[column] - (total - terminal_width));
  }
  return widths;
}

Text Table::Line(const std::vector<Text>& cells, const std::vector<int>& widths) const {
  Text line(std::string(indent_, ' '));
  std::string blanks;  // Held back until something follows, so that no line ends in blanks.
  for (size_t column = 0; column < cells.size(); ++column) {
    if (column > 0) blanks += std::string(kGap, ' ');
    const Text cell = cells[column].Shortened(widths[column]);
    const std::string padding(widths[column] - cell.width(), ' ');
    if (columns_[column].align == Align::kRight) blanks += padding;
    if (!cell.empty()) {
      line.Append(blanks).Append(cell);
      blanks.clear();
    }
    if (columns_[column].align == Align::kLeft) blanks += padding;
  }
  return line;
}

void Table::Print(Terminal& terminal) const {
  const std::vector<int> widths = Widths(terminal.width);
  const bool has_headers =
      std::any_of(columns_.begin(), columns_.end(), [](const Column& column) { return !column.header.empty(); });
  if (has_headers) {
    std::vector<Text> headers;
    for (const Column& column : columns_) headers.emplace_back(column.header, Style::kDim);
    PrintLine(terminal, Line(headers, widths));
  }
  for (const Row& row : rows_) PrintLine(terminal, row.across ? row.cells[0] : Line(row.cells, widths));
}

}  // namespace lifescope
