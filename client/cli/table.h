// Aligned columns.
#pragma once

#include <string>
#include <vector>

#include "client/cli/terminal.h"

namespace lifescope {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string header;
    Align align = Align::kLeft;
    // Gives up its width first when the terminal is too narrow. At most one column.
    bool shrinks = false;
  };

  explicit Table(std::vector<Column> columns, int indent = 0);

  // As many cells as columns; missing ones at the end are empty.
  void Add(std::vector<Text> cells);
  // A line of its own across the columns.
  void AddLine(Text line);
  bool empty() const { return rows_.empty(); }
  // Headers are left out when all are empty. No blanks at line ends.
  void Print(Terminal& terminal) const;

 private:
  struct Row {
    std::vector<Text> cells;
    bool across = false;
  };
  std::vector<int> Widths(int terminal_width) const;
  Text Line(const std::vector<Text>& cells, const std::vector<int>& widths) const;

  std::vector<Column> columns_;
  int indent_;
  std::vector<Row> rows_;
};

}  // namespace lifescope
