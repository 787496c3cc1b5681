#include "client/cli/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace lifescope {
namespace {

using Align = Table::Align;

std::string Print(const Table& table, int width = 0, bool colour = false) {
  std::ostringstream out, err;
  Terminal terminal{out, err, colour, /*live=*/false, width};
  table.Print(terminal);
  return out.str();
}

TEST(TableTest, ColumnsAreAsWideAsTheirWidestCell) {
  Table table({{"name"}, {"count", Align::kRight}, {"digest"}});
  table.Add({"a", "12,040", "x"});
  table.Add({"longer", "3", "yy"});
  EXPECT_EQ(Print(table),
            "name     count  digest\n"
            "a       12,040  x\n"
            "longer       3  yy\n");
}

TEST(TableTest, BlocksAndOtherUnicodeCountAsOneColumnEach) {
  Table table({{"bar"}, {"n", Align::kRight}});
  table.Add({"██▌", "1"});
  table.Add({"→", "22"});
  EXPECT_EQ(Print(table),
            "bar   n\n"
            "██▌   1\n"
            "→    22\n");
}

TEST(TableTest, NoLineEndsInBlanks) {
  Table table({{"a"}, {"b", Align::kRight}, {"c"}}, /*indent=*/2);
  table.Add({"x"});
  table.Add({"", "", "z"});
  EXPECT_EQ(Print(table),
            "  a  b  c\n"
            "  x\n"
            "        z\n");
}

TEST(TableTest, HeadersAreLeftOutWhereThereAreNone) {
  Table table({{""}, {""}});
  table.Add({"store", "sqlite"});
  EXPECT_EQ(Print(table), "store  sqlite\n");
}

TEST(TableTest, TheShrinkingColumnGivesWayToTheTerminal) {
  Table table({{"event"}, {"tokens", Align::kLeft, /*shrinks=*/true}, {"value"}});
  table.Add({"1", "IND_4662 POS_3 INCOME_40 CITY_7", "0.5"});
  EXPECT_EQ(Print(table, /*width=*/34),
            "event  tokens                value\n"
            "1      IND_4662 POS_3 INCO…  0.5\n");
}

TEST(TableTest, ALineAcrossDoesNotWidenColumns) {
  Table table({{"a"}, {"b"}});
  table.Add({"1", "2"});
  table.AddLine("a long line of its own");
  EXPECT_EQ(Print(table), "a  b\n1  2\na long line of its own\n");
}

TEST(TableTest, ColoursDoNotMoveColumns) {
  Table table({{"a"}, {"b"}});
  table.Add({Text("#3", Style::kAccent), "x"});
  table.Add({"long", "y"});
  EXPECT_EQ(Print(table), "a     b\n#3    x\nlong  y\n");
  EXPECT_EQ(Print(table, 0, /*colour=*/true), "\033[2ma\033[0m     \033[2mb\033[0m\n\033[36m#3\033[0m    x\nlong  y\n");
}

TEST(TextTest, ShorteningCutsBetweenCodePoints) {
  Text text("▲▲", Style::kUp);
  text.Append(" down");
  EXPECT_EQ(text.Shortened(7).Render(false), "▲▲ down");
  EXPECT_EQ(text.Shortened(4).Render(false), "▲▲ …");
  EXPECT_EQ(text.Shortened(2).Render(false), "▲…");
  EXPECT_EQ(text.Shortened(1).Render(false), "…");
}

}  // namespace
}  // namespace lifescope
