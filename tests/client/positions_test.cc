#include "client/cli/positions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lifescope {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::Positions Parse(const std::string& text) {
  const auto positions = ParsePositions("--at", text);
  EXPECT_TRUE(positions.ok()) << positions.status();
  return positions.value_or(v1::Positions());
}

TEST(PositionsTest, AllSetsNothing) { EXPECT_EQ(Parse("all").ByteSizeLong(), 0); }

TEST(PositionsTest, SingleNumbersAreIndices) { EXPECT_THAT(Parse("3,5").indices(), ElementsAre(3, 5)); }

TEST(PositionsTest, ARangeIncludesBothEnds) {
  const v1::Positions positions = Parse("10-20");
  ASSERT_EQ(positions.ranges_size(), 1);
  EXPECT_EQ(positions.ranges(0).begin(), 10);
  EXPECT_EQ(positions.ranges(0).end(), 21);
  EXPECT_EQ(positions.indices_size(), 0);
}

TEST(PositionsTest, EventsAreCountedAndMayBeARange) {
  EXPECT_THAT(Parse("event:3,event:5-7").events(), ElementsAre(3, 5, 6, 7));
}

TEST(PositionsTest, PartsMayBeMixed) {
  const v1::Positions positions = Parse("cls,event:0,4,40-42");
  EXPECT_TRUE(positions.cls());
  EXPECT_THAT(positions.events(), ElementsAre(0));
  EXPECT_THAT(positions.indices(), ElementsAre(4));
  EXPECT_EQ(positions.ranges_size(), 1);
}

TEST(PositionsTest, WhatIsNoPositionIsNamedWithItsOption) {
  for (const char* text : {"", "x", "3,", "event:", "event:x", "-1", "20-10", "all,3", "CLS", "2147483647", "3:5"}) {
    const auto positions = ParsePositions("--read-at", text);
    ASSERT_TRUE(absl::IsInvalidArgument(positions.status())) << text;
    EXPECT_THAT(std::string(positions.status().message()), HasSubstr("--read-at")) << text;
  }
}

TEST(PositionsTest, FormattedPositionsParseBackToTheSame) {
  for (const char* text : {"all", "cls", "cls,event:3,event:5,4,9,40-42"})
    EXPECT_EQ(FormatPositions(Parse(text)), text);
}

}  // namespace
}  // namespace lifescope
