#include "client/cli/heat_map.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "client/cli/format.h"

namespace lifescope {
namespace {

constexpr int kNarrowest = 20;

double LargestSize(const HeatMap& map) {
  double largest = 0;
  for (const std::vector<double>& row : map.values) {
    for (const double value : row) {
      if (!std::isnan(value)) largest = std::max(largest, std::abs(value));
    }
  }
  return largest;
}

// The value of the largest size in columns [begin, end) of a row.
double Largest(const std::vector<double>& row, size_t begin, size_t end) {
  double chosen = std::nan("");
  for (size_t i = begin; i < std::min(end, row.size()); ++i) {
    if (!std::isnan(row[i]) && !(std::abs(row[i]) <= std::abs(chosen))) chosen = row[i];
  }
  return chosen;
}

Text Block(double value, double largest) {
  static constexpr std::array<const char*, 8> kHeights = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  if (std::isnan(value)) return Text(" ");
  const double share = largest > 0 ? std::abs(value) / largest : 0;
  if (share < 0.01) return Text("·", Style::kDim);
  const int height = std::clamp(static_cast<int>(std::ceil(share * 8)) - 1, 0, 7);
  return Text(kHeights[static_cast<size_t>(height)], value > 0 ? Style::kUp : Style::kDown);
}

std::string Escaped(const std::string& text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

std::string Colour(double value, double largest) {
  if (std::isnan(value)) return "#eeeeee";
  const int fade = static_cast<int>(std::lround(255 * (1 - (largest > 0 ? std::abs(value) / largest : 0))));
  return value > 0 ? absl::StrFormat("#ff%02x%02x", fade, fade) : absl::StrFormat("#%02x%02xff", fade, fade);
}

}  // namespace

std::vector<Text> HeatMapLines(const HeatMap& map, int width) {
  int names = 0;
  for (const std::string& row : map.rows) names = std::max(names, DisplayWidth(row));
  const size_t room = static_cast<size_t>(width == 0 ? 1 << 20 : std::max(kNarrowest, width - names - 4));
  const size_t per_block = std::max<size_t>(1, (map.columns.size() + room - 1) / room);
  const double largest = LargestSize(map);
  std::vector<Text> lines;
  for (size_t r = 0; r < map.rows.size(); ++r) {
    Text line("  ");
    line.Append(map.rows[r] + std::string(static_cast<size_t>(names - DisplayWidth(map.rows[r]) + 2), ' '),
                Style::kPlain);
    for (size_t c = 0; c < map.columns.size(); c += per_block) {
      line.Append(Block(Largest(map.values[r], c, c + per_block), largest));
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string HeatMapSvg(const HeatMap& map) {
  constexpr double kHeight = 18, kLeft = 200, kTop = 40;
  const double cell = std::clamp(900.0 / static_cast<double>(std::max<size_t>(1, map.columns.size())), 2.0, 24.0);
  const double width = kLeft + cell * static_cast<double>(map.columns.size()) + 20;
  const double height = kTop + kHeight * static_cast<double>(map.rows.size()) + 90;
  const double largest = LargestSize(map);
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" font-family=\"sans-serif\" "
      "font-size=\"11\">\n<text x=\"10\" y=\"20\" font-size=\"14\">%s</text>\n",
      width, height, Escaped(map.title));
  for (size_t r = 0; r < map.rows.size(); ++r) {
    const double y = kTop + kHeight * static_cast<double>(r);
    absl::StrAppendFormat(&svg, "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", kLeft - 6, y + 13,
                          Escaped(map.rows[r]));
    for (size_t c = 0; c < map.columns.size(); ++c) {
      const double value = map.values[r][c];
      absl::StrAppendFormat(
          &svg, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" fill=\"%s\"><title>%s</title></rect>\n",
          kLeft + cell * static_cast<double>(c), y, cell, kHeight - 1, Colour(value, largest),
          Escaped(
              absl::StrCat(map.rows[r], ", ", map.columns[c], ": ", std::isnan(value) ? "–" : FormatNumber(value))));
    }
  }
  const double below = kTop + kHeight * static_cast<double>(map.rows.size()) + 8;
  // As many names as fit.
  const size_t step = std::max<size_t>(1, static_cast<size_t>(std::ceil(12 / cell)));
  for (size_t c = 0; c < map.columns.size(); c += step) {
    const double x = kLeft + cell * (static_cast<double>(c) + 0.5);
    absl::StrAppendFormat(&svg, "<text x=\"%.1f\" y=\"%.1f\" transform=\"rotate(60 %.1f %.1f)\">%s</text>\n", x, below,
                          x, below, Escaped(map.columns[c]));
  }
  return svg + "</svg>\n";
}

}  // namespace lifescope
