#include "client/cli/number_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lifescope {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string ErrorOf(const std::string& text) {
  const auto numbers = ParseIndices("--features", text);
  EXPECT_TRUE(absl::IsInvalidArgument(numbers.status())) << text;
  return std::string(numbers.status().message());
}

TEST(NumberListTest, NumbersAndRangesKeepTheirOrder) {
  EXPECT_THAT(*ParseIndices("--features", "12,3,7-9,3"), ElementsAre(12, 3, 7, 8, 9, 3));
}

TEST(NumberListTest, ARangeOfOneIsOneNumber) { EXPECT_THAT(*ParseIndices("--features", "5-5"), ElementsAre(5)); }

TEST(NumberListTest, PersonIdsMayHave64Bits) {
  EXPECT_THAT(*ParseNumbers("--person", "9007199254740993", INT64_MAX), ElementsAre(9007199254740993));
}

TEST(NumberListTest, WhatIsNoNumberIsNamedWithItsOption) {
  for (const char* text : {"x", "1,x", "1,,2", "", "-3", "+3", " 3", "1.5", "1-2-3", "99999999999999999999"}) {
    EXPECT_THAT(ErrorOf(text), HasSubstr("--features: "));
  }
  EXPECT_THAT(ErrorOf("1,x,2"), HasSubstr("'x'"));
}

TEST(NumberListTest, ABackwardRangeIsRefused) { EXPECT_THAT(ErrorOf("9-7"), HasSubstr("ends before it begins")); }

TEST(NumberListTest, WhatDoesNotFitIsRefusedBeforeItIsWrittenOut) {
  EXPECT_THAT(ErrorOf("2147483648"), HasSubstr("is over 2147483647"));
  EXPECT_THAT(ErrorOf("0-2000000000"), HasSubstr("more than 1000000 numbers"));
}

}  // namespace
}  // namespace lifescope
