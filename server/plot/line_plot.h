// Line and scatter plots as SVG text, for reports: no library, no script, no date; the same plot gives the same bytes.
#pragma once

#include <string>
#include <vector>

namespace lifescope {

// kMarked: a line with a marker at each point.
enum class PlotStyle { kSolid, kFaint, kDashed, kMarked };

struct PlotLine {
  std::string name;  // in the legend; empty: not there
  std::vector<double> x, y;
  PlotStyle style = PlotStyle::kSolid;
  int colour = 0;                        // of a palette that colour-blind readers can tell apart; counted round
  std::vector<std::string> labels = {};  // beside the points; none, or one for each
};

struct LinePlot {
  std::string title, x_label, y_label;
  std::vector<PlotLine> lines;  // later ones lie above earlier ones
  int width = 720, height = 420;
};

// Axes span the data, with round ticks; the legend stands above the plot. Points that are not finite break their line.
// Throws c10::ValueError when x, y and labels of a line differ in length.
std::string ToSvg(const LinePlot& plot);

// Round numbers (1, 2 or 5 times a power of ten apart), about `count` of them, the first at or below `low` and the last
// at or above `high`.
std::vector<double> RoundTicks(double low, double high, int count);

}  // namespace lifescope
