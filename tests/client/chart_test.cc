#include "client/cli/chart.h"

#include <gtest/gtest.h>

#include <limits>

namespace lifescope {
namespace {

TEST(BarTest, LengthIsTheFractionInEighths) {
  EXPECT_EQ(Bar(1, 4), "████");
  EXPECT_EQ(Bar(0.5, 4), "██");
  EXPECT_EQ(Bar(0.625, 4), "██▌");
  EXPECT_EQ(Bar(0.25 / 8, 4), "▏");
}

TEST(BarTest, SomethingIsNeverShownAsNothing) {
  EXPECT_EQ(Bar(1e-9, 4), "▏");
  EXPECT_EQ(Bar(0, 4), "");
}

TEST(BarTest, WhatIsOutsideIsClamped) {
  EXPECT_EQ(Bar(7, 2), "██");
  EXPECT_EQ(Bar(-1, 2), "");
  EXPECT_EQ(Bar(std::numeric_limits<double>::quiet_NaN(), 2), "");
  EXPECT_EQ(Bar(std::numeric_limits<double>::infinity(), 2), "██");
}

TEST(LogSparklineTest, HeightsFollowTheLogarithm) {
  // log(1 + n) / log(1 + 255): 1, 1/2, 1/8.
  EXPECT_EQ(LogSparkline({255, 15, 1}), "█▄▁");
}

TEST(LogSparklineTest, NothingCountedIsADot) {
  EXPECT_EQ(LogSparkline({9, 0, 9}), "█·█");
  EXPECT_EQ(LogSparkline({0, 0}), "··");
  EXPECT_EQ(LogSparkline({}), "");
}

}  // namespace
}  // namespace lifescope
