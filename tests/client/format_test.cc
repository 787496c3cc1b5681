#include "client/cli/format.h"

#include <gtest/gtest.h>

#include <limits>

namespace lifescope {
namespace {

TEST(FormatTest, CountsAreGrouped) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1204331), "1,204,331");
  EXPECT_EQ(FormatCount(-1000), "-1,000");
  EXPECT_EQ(FormatCount(-999), "-999");
}

TEST(FormatTest, PercentagesKeepTheDigitsThatSaySomething) {
  EXPECT_EQ(FormatPercent(0), "0 %");
  EXPECT_EQ(FormatPercent(1), "100.0 %");
  EXPECT_EQ(FormatPercent(0.1214), "12.1 %");
  EXPECT_EQ(FormatPercent(0.0034), "0.34 %");
  EXPECT_EQ(FormatPercent(0.00012), "0.012 %");
  EXPECT_EQ(FormatPercent(0.000031), "0.0031 %");
  EXPECT_EQ(FormatPercent(1e-9), "<0.0001 %");
}

TEST(FormatTest, NumbersHaveThreeDigits) {
  EXPECT_EQ(FormatNumber(0), "0");
  EXPECT_EQ(FormatNumber(2.3149), "2.31");
  EXPECT_EQ(FormatNumber(-23.149), "-23.1");
  EXPECT_EQ(FormatNumber(0.99999), "1.00");
  EXPECT_EQ(FormatNumber(9.999), "10.0");
  EXPECT_EQ(FormatNumber(0.0041999), "0.00420");
  EXPECT_EQ(FormatNumber(231.4), "231");
  EXPECT_EQ(FormatNumber(12040.3), "12,040");
  EXPECT_EQ(FormatNumber(1.3e-7), "1.3e-07");
  EXPECT_EQ(FormatNumber(std::numeric_limits<double>::infinity()), "inf");
}

TEST(FormatTest, FixedNumbersAreNeverMinusZero) {
  EXPECT_EQ(FormatFixed(0.374, 2), "0.37");
  EXPECT_EQ(FormatFixed(-0.001, 2), "0.00");
  EXPECT_EQ(FormatFixed(-0.5, 2), "-0.50");
}

TEST(FormatTest, BytesAreInTheUnitThatFits) {
  EXPECT_EQ(FormatBytes(812), "812 B");
  EXPECT_EQ(FormatBytes(4300), "4.2 KiB");
  EXPECT_EQ(FormatBytes(64 << 20), "64 MiB");
}

TEST(FormatTest, AgesAreInTheUnitThatFits) {
  EXPECT_EQ(FormatAge(absl::Seconds(-5)), "just now");
  EXPECT_EQ(FormatAge(absl::Seconds(9)), "9 s ago");
  EXPECT_EQ(FormatAge(absl::Seconds(150)), "2 min ago");
  EXPECT_EQ(FormatAge(absl::Hours(23)), "23 h ago");
  EXPECT_EQ(FormatAge(absl::Hours(25)), "1 day ago");
  EXPECT_EQ(FormatAge(absl::Hours(24 * 3)), "3 days ago");
}

TEST(FormatTest, AShortDigestKeepsItsAlgorithm) {
  EXPECT_EQ(ShortDigest("sha256:0123456789abcdef"), "sha256:0123456789ab");
  EXPECT_EQ(ShortDigest(""), "");
}

}  // namespace
}  // namespace lifescope
