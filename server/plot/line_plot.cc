#include "server/plot/line_plot.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <limits>

namespace lifescope {
namespace {

// Okabe & Ito's, without yellow.
constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#555555", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"};
constexpr double kLeft = 64, kRight = 20, kTop = 64, kBottom = 52;
constexpr double kLegendSwatch = 22, kLegendGap = 18, kCharacterWidth = 6.4;

std::string Format(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string Format(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  return text;
}

std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// A linear map from data to the page.
struct Axis {
  std::vector<double> ticks;
  double start = 0, end = 0;  // on the page

  double At(double value) const {
    return start + (end - start) * (value - ticks.front()) / (ticks.back() - ticks.front());
  }
};

Axis MakeAxis(const std::vector<PlotLine>& lines, std::vector<double> PlotLine::*values, int count, double start,
              double end) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const PlotLine& line : lines) {
    for (const double value : line.*values) {
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  if (low > high) return {RoundTicks(0, 1, count), start, end};
  return {RoundTicks(low, high, count), start, end};
}

// Ticks are multiples of a round number; what is left of rounding errors is not shown.
std::string TickLabel(double value, double step) { return Format("%.6g", std::fabs(value) < step / 1e6 ? 0.0 : value); }

std::string Axes(const LinePlot& plot, const Axis& x, const Axis& y) {
  std::string svg = "<g stroke=\"#e4e4e4\">\n";
  for (const double tick : y.ticks) {
    svg += Format("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", x.start, y.At(tick), x.end, y.At(tick));
  }
  svg += Format("</g>\n<path d=\"M%.1f %.1fV%.1fH%.1f\" fill=\"none\" stroke=\"#888\"/>\n", x.start, y.end, y.start,
                x.end);
  svg += "<g fill=\"#444\" text-anchor=\"middle\">\n";
  for (const double tick : x.ticks) {
    svg += Format("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#888\"/>\n", x.At(tick), y.start,
                  x.At(tick), y.start + 5);
    svg += Format("<text x=\"%.1f\" y=\"%.1f\">%s</text>\n", x.At(tick), y.start + 19,
                  TickLabel(tick, x.ticks[1] - x.ticks[0]).c_str());
  }
  svg += "</g>\n<g fill=\"#444\" text-anchor=\"end\">\n";
  for (const double tick : y.ticks) {
    svg += Format("<text x=\"%.1f\" y=\"%.1f\">%s</text>\n", x.start - 8, y.At(tick) + 4,
                  TickLabel(tick, y.ticks[1] - y.ticks[0]).c_str());
  }
  svg += "</g>\n";
  const double middle = (x.start + x.end) / 2, centre = (y.start + y.end) / 2;
  svg += Format("<text x=\"%.1f\" y=\"%.1f\" fill=\"#444\" text-anchor=\"middle\">", middle, y.start + 41.0) +
         Escaped(plot.x_label) + "</text>\n";
  svg += Format("<text transform=\"translate(18 %.1f) rotate(-90)\" fill=\"#444\" text-anchor=\"middle\">", centre) +
         Escaped(plot.y_label) + "</text>\n";
  return svg;
}

const char* Colour(const PlotLine& line) { return kColours[static_cast<size_t>(line.colour) % std::size(kColours)]; }

std::string Stroke(const PlotLine& line) {
  std::string stroke = Format("fill=\"none\" stroke=\"%s\" stroke-linejoin=\"round\"", Colour(line));
  switch (line.style) {
    case PlotStyle::kSolid:
    case PlotStyle::kMarked:
      return stroke + " stroke-width=\"2\"";
    case PlotStyle::kFaint:
      return stroke + " stroke-width=\"1\" stroke-opacity=\"0.3\"";
    case PlotStyle::kDashed:
      return stroke + " stroke-width=\"1.5\" stroke-dasharray=\"6 4\"";
  }
  return stroke;
}

std::string Marker(const PlotLine& line, double x, double y) {
  return Format("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x, y, Colour(line));
}

// Beside a point, towards the middle of the plot.
std::string PointLabel(const std::string& label, double x, double y, double middle) {
  const bool is_left = x < middle;
  return Format("<text x=\"%.1f\" y=\"%.1f\" font-size=\"10\" fill=\"#444\" text-anchor=\"%s\">",
                x + (is_left ? 5 : -5), y - 5, is_left ? "start" : "end") +
         Escaped(label) + "</text>\n";
}

std::string Curve(const PlotLine& line, const Axis& x, const Axis& y) {
  std::string path, markers;
  bool drawing = false;
  for (size_t i = 0; i < line.x.size(); ++i) {
    const bool finite = std::isfinite(line.x[i]) && std::isfinite(line.y[i]);
    if (finite) {
      path += Format("%c%.1f %.1f", drawing ? 'L' : 'M', x.At(line.x[i]), y.At(line.y[i]));
      if (line.style == PlotStyle::kMarked) markers += Marker(line, x.At(line.x[i]), y.At(line.y[i]));
      if (!line.labels.empty())
        markers += PointLabel(line.labels[i], x.At(line.x[i]), y.At(line.y[i]), (x.start + x.end) / 2);
    }
    drawing = finite;
  }
  return "<path d=\"" + path + "\" " + Stroke(line) + "/>\n" + markers;
}

std::string Legend(const LinePlot& plot) {
  std::string svg;
  double x = kLeft;
  const double y = kTop - 18;
  for (const PlotLine& line : plot.lines) {
    if (line.name.empty()) continue;
    svg += Format("<path d=\"M%.1f %.1fh%.1f\" ", x, y, kLegendSwatch) + Stroke(line) + "/>\n";
    if (line.style == PlotStyle::kMarked) svg += Marker(line, x + kLegendSwatch / 2, y);
    svg += Format("<text x=\"%.1f\" y=\"%.1f\" fill=\"#222\">", x + kLegendSwatch + 6, y + 4) + Escaped(line.name) +
           "</text>\n";
    x += kLegendSwatch + 6 + kCharacterWidth * static_cast<double>(line.name.size()) + kLegendGap;
  }
  return svg;
}

}  // namespace

std::vector<double> RoundTicks(double low, double high, int count) {
  if (!(high > low)) {
    low -= 0.5;
    high += 0.5;
  }
  const double rough = (high - low) / std::max(1, count);
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= rough * 0.999) step = factor * power;
  }
  const double first = std::floor(low / step + 1e-9);
  std::vector<double> ticks;
  for (double i = first; ticks.size() < 2 || ticks.back() < high - step * 1e-9; ++i) ticks.push_back(i * step);
  return ticks;
}

std::string ToSvg(const LinePlot& plot) {
  for (const PlotLine& line : plot.lines) {
    TORCH_CHECK_VALUE(line.x.size() == line.y.size(), "line '", line.name, "' has ", line.x.size(), " x and ",
                      line.y.size(), " y, expected as many");
    TORCH_CHECK_VALUE(line.labels.empty() || line.labels.size() == line.x.size(), "line '", line.name, "' has ",
                      line.labels.size(), " labels, expected none or ", line.x.size());
  }
  const double width = plot.width, height = plot.height;
  const Axis x = MakeAxis(plot.lines, &PlotLine::x, 6, kLeft, width - kRight);
  const Axis y = MakeAxis(plot.lines, &PlotLine::y, 5, height - kBottom, kTop);
  std::string svg = Format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
      "font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\">\n<rect width=\"%d\" height=\"%d\" "
      "fill=\"#fff\"/>\n",
      plot.width, plot.height, plot.width, plot.height, plot.width, plot.height);
  svg += Format("<text x=\"%.1f\" y=\"26\" font-size=\"16\" font-weight=\"bold\" fill=\"#222\">", kLeft) +
         Escaped(plot.title) + "</text>\n";
  svg += Legend(plot) + Axes(plot, x, y);
  for (const PlotLine& line : plot.lines) svg += Curve(line, x, y);
  return svg + "</svg>\n";
}

}  // namespace lifescope
