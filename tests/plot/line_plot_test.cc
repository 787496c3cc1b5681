#include "server/plot/line_plot.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

namespace lifescope {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

LinePlot Plot() {
  LinePlot plot;
  plot.title = "A < B & C";
  plot.x_label = "step";
  plot.y_label = "loss";
  plot.lines.push_back({"first", {0, 5, 10}, {1, 3, 2}, PlotStyle::kSolid, 0});
  plot.lines.push_back({"", {0, 10}, {2, 2}, PlotStyle::kDashed, 1});
  return plot;
}

TEST(RoundTicks, AreRoundAndSpanTheData) {
  EXPECT_THAT(RoundTicks(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(RoundTicks(2.8, 6.1, 5), ElementsAre(2, 3, 4, 5, 6, 7));
  EXPECT_THAT(RoundTicks(-3, 4, 3), ElementsAre(-5, 0, 5));
  EXPECT_EQ(RoundTicks(0, 5000, 6).back(), 5000);
  EXPECT_GE(RoundTicks(3, 3, 5).size(), 2u) << "one value has an axis too";
  for (const double high : {1e-9, 0.37, 12.0, 9999.0, 3e12}) {
    const std::vector<double> ticks = RoundTicks(0, high, 5);
    EXPECT_GE(ticks.back(), high * (1 - 1e-9));
    EXPECT_LE(ticks.size(), 12u);
  }
}

TEST(ToSvg, IsTheSameEveryTimeAndEscapesItsTexts) {
  const std::string svg = ToSvg(Plot());
  EXPECT_EQ(svg, ToSvg(Plot()));
  EXPECT_THAT(svg, HasSubstr("A &lt; B &amp; C"));
  EXPECT_THAT(svg, Not(HasSubstr("A < B")));
  EXPECT_THAT(svg, testing::StartsWith("<svg xmlns="));
  EXPECT_THAT(svg, testing::EndsWith("</svg>\n"));
}

TEST(ToSvg, PutsPointsWhereTheAxesSay) {
  // x 0 to 10 on pixels 64 to 700; y 1 to 3 on pixels 368 to 64.
  EXPECT_THAT(ToSvg(Plot()), HasSubstr("M64.0 368.0L382.0 64.0L700.0 216.0"));
}

TEST(ToSvg, LegendNamesLinesThatHaveNames) {
  const std::string svg = ToSvg(Plot());
  EXPECT_THAT(svg, HasSubstr(">first</text>"));
  EXPECT_THAT(svg, HasSubstr("stroke-dasharray"));
}

TEST(ToSvg, PointsHaveMarkersAndLabels) {
  LinePlot plot = Plot();
  plot.lines[0].style = PlotStyle::kMarked;
  plot.lines[0].labels = {"a", "<b>", "c"};
  const std::string svg = ToSvg(plot);
  EXPECT_THAT(svg, HasSubstr("<circle cx=\"382.0\" cy=\"64.0\""));
  EXPECT_THAT(svg, HasSubstr(">&lt;b&gt;</text>"));
  plot.lines[0].labels.pop_back();
  EXPECT_THROW(ToSvg(plot), c10::ValueError);
}

TEST(ToSvg, GapsBreakALine) {
  LinePlot plot = Plot();
  plot.lines[0].y[1] = std::numeric_limits<double>::quiet_NaN();
  const std::string svg = ToSvg(plot);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, testing::ContainsRegex("M64.0 [0-9.]+M700.0"));
}

TEST(ToSvg, PlotWithoutPointsHasAxes) {
  LinePlot plot;
  EXPECT_THAT(ToSvg(plot), Not(HasSubstr("nan")));
  plot.lines.push_back({"spoiled", {1, 2}, {1}, PlotStyle::kSolid, 0});
  EXPECT_THROW(ToSvg(plot), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
