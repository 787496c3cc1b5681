#include "server/command/describe_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/corpus/world_life.h"
#include "tests/corpus/value_error.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

TableDescription Ready(const std::string& name) { return ParseTableDescription(name, FindTableDescription(name)); }

// `from` replaced in the description of life2vec-light, and what is said of that.
std::string Fault(const std::string& from, const std::string& to) {
  std::string text = FindTableDescription("life2vec-light");
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  return ValueErrorOf([&] { ParseTableDescription("my.textproto", text); });
}

TEST(DescribeTables, ReadyTextsAreTheDescriptionsThatTheEngineKnows) {
  EXPECT_EQ(Ready("life2vec-light"), TableDescription::Life2vecLight());
  EXPECT_EQ(Ready("synthetic-world"), world::Description());
}

TEST(DescribeTables, TheOriginalRegistersAreDescribed) {
  const TableDescription description = Ready("life2vec");
  ASSERT_EQ(description.tables.size(), 2u);
  const EventTable &health = description.tables[0], &labour = description.tables[1];
  EXPECT_EQ(health.fields[0].value.Token("DS72001"), "S72");
  EXPECT_EQ(health.fields[1].value.Token("2"), "NON_URGENT");
  EXPECT_EQ(health.first_date, (Date{2008, 1, 1}));
  EXPECT_EQ(labour.fields.size(), 9u);
  EXPECT_EQ(labour.fields[0].bin_count, 100);
  EXPECT_FALSE(labour.fields[1].positive_only);
  EXPECT_TRUE(labour.source.format.latin1);
  EXPECT_TRUE(labour.source.keep[0].Holds("1"));
  EXPECT_FALSE(labour.source.keep[0].Holds("9"));
  EXPECT_EQ(description.persons.background[0].value.Token("5100"), "DK");
  EXPECT_EQ(description.persons.background[0].value.Token("5120"), "NON_DK");
  EXPECT_TRUE(description.persons.background[1].must_agree);
  EXPECT_EQ(description.required_events->count, 12);
  EXPECT_EQ(description.age_rule, AgeRule::kMonthEnd);
}

TEST(DescribeTables, FaultsHaveLineAndColumn) {
  EXPECT_THAT(Fault("birthday_column", "birthday"), HasSubstr("my.textproto:7:"));
  EXPECT_THAT(Fault("birthday_column", "birthday"), HasSubstr("has no field named \"birthday\""));
  EXPECT_THAT(Fault("min_persons: 2", "min_persons: two"), HasSubstr("my.textproto:"));
}

TEST(DescribeTables, ValuesThatCannotBeAreNamed) {
  EXPECT_THAT(Fault("2020-01-01", "2020-01-32"), HasSubstr("my.textproto: reference_date is '2020-01-32'"));
  EXPECT_THAT(Fault("bin_count: 50", "bin_count: 2"), HasSubstr("tables[0].fields[0].number.bin_count is 2"));
  EXPECT_THAT(Fault("date_column: \"RECORD_DATE\"", ""), HasSubstr("tables[0].date_column is empty"));
  EXPECT_THAT(Fault("name: \"health\"", "name: \"labor\""), HasSubstr("tables[1].name: 'labor' is there already"));
  EXPECT_THAT(Fault("AGE_RULE_YEAR_DIFFERENCE", "AGE_RULE_UNSPECIFIED"), HasSubstr("age_rule is AGE_RULE_UNSPECIFIED"));
  EXPECT_THAT(Fault("train: 0.7", "train: 0.9"), HasSubstr("split shares are 0.9 and 0.15"));
  EXPECT_THAT(Fault("first_birth_year: 1945", ""), HasSubstr("first_birth_year is 0, expected 1 to 9999"));
  EXPECT_THAT(Fault("last_birth_year: 1996", ""), HasSubstr("last_birth_year is 0, expected 1945 to 9999"));
  EXPECT_THAT(Fault("last_birth_year: 1996", "last_birth_year: 2000000000"),
              HasSubstr("last_birth_year is 2000000000, expected 1945 to 9999"));
  EXPECT_THAT(Fault("{ birth_year: true }", "{}"), HasSubstr("persons.background[2] is empty"));
  EXPECT_THAT(Fault("date_column: \"RECORD_DATE\"", "date_column: \"RECORD_DATE\" date_formats: \"%d\""),
              HasSubstr("tables[0].date_formats[0]: date format '%d'"));
}

TEST(DescribeTables, BinsHaveAColumnAndAPrefixOfTheirOwn) {
  const std::string city = R"(code { column: "CITY" prefix: "CITY" })";
  EXPECT_THAT(Fault(city, R"(number { column: "INCOME" prefix: "PAY" bin_count: 9 })"),
              HasSubstr("tables[0].fields[1].column: 'INCOME' is cut into bins already"));
  EXPECT_THAT(Fault(city, R"(number { column: "CITY" prefix: "INCOME" bin_count: 9 })"),
              HasSubstr("tables[0].fields[1].prefix: 'INCOME' is that of other bins already"));
}

TEST(DescribeTables, UnknownNamesAreAnsweredWithThoseThereAre) {
  EXPECT_THAT(ValueErrorOf([] { FindTableDescription("light"); }),
              HasSubstr("none that comes with lifescoped: life2vec, life2vec-light, synthetic-world"));
}

}  // namespace
}  // namespace lifescope
