#include "client/cli/chart.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace lifescope {

std::string Bar(double fraction, int width) {
  static constexpr std::array<const char*, 9> kEighths = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
  if (!(fraction > 0)) return "";
  const int eighths = std::max(1, static_cast<int>(std::lround(std::min(fraction, 1.0) * width * 8)));
  std::string bar;
  for (int full = 0; full < eighths / 8; ++full) bar += kEighths[8];
  return bar + kEighths[eighths % 8];
}

std::string LogSparkline(const std::vector<int64_t>& counts) {
  static constexpr std::array<const char*, 8> kHeights = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  int64_t largest = 0;
  for (const int64_t count : counts) largest = std::max(largest, count);
  std::string line;
  for (const int64_t count : counts) {
    if (count <= 0) {
      line += "·";
      continue;
    }
    const double height = std::log1p(static_cast<double>(count)) / std::log1p(static_cast<double>(largest));
    line += kHeights[std::clamp(static_cast<int>(std::ceil(height * 8)) - 1, 0, 7)];
  }
  return line;
}

}  // namespace lifescope
