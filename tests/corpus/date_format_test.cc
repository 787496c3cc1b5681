#include "server/corpus/date_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/corpus/value_error.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

std::string Read(const std::string& pattern, const std::string& text) {
  const std::optional<Moment> moment = DateFormat(pattern).Read(text);
  return moment ? moment->date.ToString() + "+" + std::to_string(moment->second) : "nothing";
}

TEST(DateFormat, WithoutAPatternItIsIso) {
  EXPECT_EQ(Read("", "2020-05-02"), "2020-05-02+0");
  EXPECT_EQ(Read("", "2020-05-02T01:02:03"), "2020-05-02+3723");
  EXPECT_EQ(Read("", "2020-05-02 01:02:03.5+01:00"), "2020-05-02+3723");
  EXPECT_EQ(Read("", "02/05/2020"), "nothing");
}

TEST(DateFormat, PatternsReadWhatTheyWrite) {
  EXPECT_EQ(Read("%d/%m/%Y", "02/05/2020"), "2020-05-02+0");
  EXPECT_EQ(Read("%d/%m/%Y", "2/5/2020"), "2020-05-02+0");
  EXPECT_EQ(Read("%d%b%Y:%T", "02MAY2020:13:00:01"), "2020-05-02+46801");
  EXPECT_EQ(Read("%Y%m%d", "20200502"), "2020-05-02+0");
  for (const char* text : {"", "02/05/20", "02/05/2020 ", "02-05-2020", "31/04/2020", "29/02/2021", "a/05/2020"}) {
    EXPECT_EQ(Read("%d/%m/%Y", text), "nothing") << text;
  }
  EXPECT_EQ(Read("%d%b%Y:%T", "02MAJ2020:13:00:01"), "nothing");
  EXPECT_EQ(Read("%d%b%Y:%T", "02MAY2020:24:00:01"), "nothing");
}

TEST(DateFormat, DaysAreCountedFromADate) {
  EXPECT_EQ(Read("days since 1960-01-01", "0"), "1960-01-01+0");
  EXPECT_EQ(Read("days since 1960-01-01", "-1"), "1959-12-31+0");
  EXPECT_EQ(Read("days since 1960-01-01", "17532.0"), "2008-01-01+0");
  for (const char* text : {"", ".0", "1.5", "x", "99999999"}) {
    EXPECT_EQ(Read("days since 1960-01-01", text), "nothing") << text;
  }
}

TEST(DateFormat, TheFirstThatFitsIsTaken) {
  const std::vector<DateFormat> formats = {DateFormat("%d/%m/%Y"), DateFormat("days since 1960-01-01")};
  EXPECT_EQ(ReadMoment(formats, "01/02/2015")->date, (Date{2015, 2, 1}));
  EXPECT_EQ(ReadMoment(formats, "31")->date, (Date{1960, 2, 1}));
  EXPECT_FALSE(ReadMoment(formats, "2015-02-01").has_value());
  EXPECT_EQ(ReadMoment({}, "2015-02-01")->date, (Date{2015, 2, 1}));
}

TEST(DateFormat, UnusablePatternsAreRefused) {
  for (const char* pattern : {"%d/%m", "%q%Y%m%d", "%Y%m%d%", "year"}) {
    EXPECT_THAT(ValueErrorOf([&] { const DateFormat format(pattern); }),
                HasSubstr(std::string("date format '") + pattern))
        << pattern;
  }
  EXPECT_THAT(ValueErrorOf([] { const DateFormat format("days since 1960"); }), HasSubstr("days since YYYY-MM-DD"));
}

}  // namespace
}  // namespace lifescope
