#include "server/corpus/table_cell.h"

#include <gtest/gtest.h>

namespace lifescope {
namespace {

TEST(TableNumber, IsTheNearestDouble) {
  EXPECT_EQ(ParseTableNumber("34783.866673234734", false), 34783.866673234734);
  EXPECT_EQ(ParseTableNumber("-0.1", false), -0.1);
  EXPECT_EQ(ParseTableNumber("1e9", false), 1e9);
}

TEST(TableNumber, AsPublishedEachDigitAndThePowerOfTenAreRounded) {
  // 34783866673234734 is no double: the digits round to ...736, and dividing by 1e12 rounds again.
  EXPECT_EQ(ParseTableNumber("34783.866673234734", true), 34783866673234736.0 / 1e12);
  EXPECT_EQ(ParseTableNumber("-120.5", true), -120.5);
  EXPECT_EQ(ParseTableNumber("1.5e3", true), 1500.0);
  EXPECT_EQ(ParseTableNumber("25e+1", true), 250.0);
  EXPECT_EQ(ParseTableNumber("25E-1", true), 2.5);
  EXPECT_EQ(ParseTableNumber("0.12345678901234567", true), 1234567890123456.0 / 1e16);  // the leading 0 is a digit
  EXPECT_EQ(ParseTableNumber("123456789012345678", true), 12345678901234568.0 * 10);
}

TEST(TableNumber, WhatIsNoFiniteNumberIsRefused) {
  for (const char* text : {"", "x", "1x", " 1", "1 ", "1,5", "inf", "nan", "1e999", "0x10", "+1", "--1"}) {
    EXPECT_FALSE(ParseTableNumber(text, false).has_value()) << text;
    EXPECT_FALSE(ParseTableNumber(text, true).has_value()) << text;
  }
}

TEST(TableCell, AnIntegerIsAllOfTheText) {
  EXPECT_EQ(ParseTableInteger("-12"), -12);
  for (const char* text : {"", " 1", "1.0", "1e3", "9223372036854775808"})
    EXPECT_EQ(ParseTableInteger(text), std::nullopt);
}

TEST(TableCell, AFaultNamesColumnFoundAndExpectedAndStaysShort) {
  EXPECT_EQ(CellFault("AGE", "old", "a whole number"), "AGE is 'old', expected a whole number");
  EXPECT_LT(CellFault("AGE", std::string(1000, 'x'), "a whole number").size(), 120u);
}

}  // namespace
}  // namespace lifescope
