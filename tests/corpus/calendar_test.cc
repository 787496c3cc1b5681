#include "server/corpus/calendar.h"

#include <gtest/gtest.h>

namespace lifescope {
namespace {

TEST(Calendar, KnownDaysHaveTheirNumbers) {
  EXPECT_EQ((Date{1970, 1, 1}.DayNumber()), 0);
  EXPECT_EQ((Date{1969, 12, 31}.DayNumber()), -1);
  EXPECT_EQ((Date{2000, 2, 29}.DayNumber()), 11016);
  EXPECT_EQ((Date{2020, 1, 1}.DayNumber()), 18262);
  EXPECT_EQ((Date{1, 1, 1}.DayNumber()), -719162);
}

TEST(Calendar, EveryDayOfManyYearsComesBackAndFollowsTheOneBefore) {
  Date before = Date::FromDayNumber(-150000);
  for (int64_t day = -149999; day < 150000; ++day) {
    const Date date = Date::FromDayNumber(day);
    ASSERT_EQ(date.DayNumber(), day) << date.ToString();
    const bool next_day = date.month == before.month && date.day == before.day + 1;
    const bool next_month = date.day == 1 && before.day >= 28;
    ASSERT_TRUE(next_day || next_month) << before.ToString() << " then " << date.ToString();
    before = date;
  }
}

TEST(Calendar, TextComesBack) {
  for (const char* text : {"2020-02-29", "1945-12-31", "2026-01-01"}) {
    const std::optional<Date> date = Date::Parse(text);
    ASSERT_TRUE(date.has_value()) << text;
    EXPECT_EQ(date->ToString(), text);
  }
}

TEST(Calendar, ATimeBehindTheDateIsIgnored) {
  EXPECT_EQ(Date::Parse("2020-05-02 13:00:00").value().DayNumber(), Date::Parse("2020-05-02").value().DayNumber());
  EXPECT_EQ(Date::Parse("2020-05-02T13:00").value().DayNumber(), Date::Parse("2020-05-02").value().DayNumber());
}

TEST(Calendar, WhatIsNotADateIsRefused) {
  for (const char* text :
       {"", "2020", "2020-13-01", "2020-00-10", "2021-02-29", "1900-02-29", "2020-04-31", "2020-01-00", "2020/01/01",
        "20-01-2020", "2020-1-1", "2020-01-0a", "2020-01-012", "-020-01-01"}) {
    EXPECT_FALSE(Date::Parse(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace lifescope
