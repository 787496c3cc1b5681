// A table of numbers as shades: on the terminal, and as SVG.
#pragma once

#include <string>
#include <vector>

#include "client/cli/terminal.h"

namespace lifescope {

struct HeatMap {
  std::string title;
  std::vector<std::string> rows;
  std::vector<std::string> columns;
  // values[row][column]; NaN: nothing there.
  std::vector<std::vector<double>> values;
};

// One line per row: its name, and a block per column of height |value| over the largest; where the terminal is too
// narrow a block stands for several columns and shows the largest. Colour tells positive from negative.
std::vector<Text> HeatMapLines(const HeatMap& map, int width);

// A rectangle per value, red above 0 and blue below, with row names, column names where there is room, and a title that
// shows on hovering.
std::string HeatMapSvg(const HeatMap& map);

}  // namespace lifescope
