#include "server/corpus/label_build.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "server/corpus/world.h"
#include "tests/corpus/small_register.h"
#include "tests/corpus/value_error.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Kind = LabelCondition::Kind;

// A missing value as the lists below write it.
constexpr double kNone = -999;

std::shared_ptr<const Corpus> Register() { return Corpus::Open(WriteSmallRegister()); }

// All values of the one column of a table.
std::vector<double> Values(const LabelTable& table) {
  std::vector<double> values;
  for (int64_t row = 0; row < table.row_count(0); ++row) {
    values.push_back(std::isnan(table.Row(0, row)) ? kNone : table.Row(0, row));
  }
  return values;
}

template <typename Source>
std::shared_ptr<const LabelTable> Built(const Corpus& corpus, const Source& source, const LabelOptions& options = {}) {
  const std::string folder = TemporaryFolder() + "/labels";
  BuildLabelTable(folder, corpus, {{"label", source, "its text"}}, options);
  return LabelTable::Open(folder, corpus, /*verify_digests=*/true);
}

template <typename Source>
std::vector<double> ValuesOf(const Source& source) {
  const auto corpus = Register();
  return Values(*Built(*corpus, source));
}

template <typename Source>
std::string BuildError(const Source& source) {
  const auto corpus = Register();
  return ValueErrorOf([&] { Built(*corpus, source); });
}

LabelCondition Has(std::vector<std::string> names, std::string category = "", std::string prefix = "") {
  LabelCondition condition{Kind::kHas, {}, std::move(names), std::move(category), std::move(prefix)};
  return condition;
}

LabelCondition Join(Kind kind, std::vector<LabelCondition> parts) { return {kind, std::move(parts), {}, "", ""}; }

LabelCondition Range(Kind kind, int64_t from, int64_t below) { return {kind, {}, {}, "", "", from, below}; }

int64_t Day(int32_t year, int32_t month, int32_t day) { return Date{year, month, day}.DayNumber(); }

// Events of the register in order: person 10's three, person 20's two, person 40's one.
TEST(LabelCondition, AnEventHasATokenOfTheSet) {
  EXPECT_THAT(ValuesOf(EventLabel{Has({"DIAG_A", "INCOME_5"})}), ElementsAre(1, 0, 0, 0, 1, 0));
  EXPECT_THAT(ValuesOf(EventLabel{Has({}, "DIAGNOSIS")}), ElementsAre(1, 0, 1, 0, 0, 1));
  EXPECT_THAT(ValuesOf(EventLabel{Has({}, "", "TYPE_I")}), ElementsAre(1, 0, 0, 0, 0, 1));
}

TEST(LabelCondition, EverythingThatASetSaysMustHoldOfOneToken) {
  EXPECT_THAT(ValuesOf(EventLabel{Has({"DIAG_A", "TYPE_In"}, "DIAGNOSIS")}), ElementsAre(1, 0, 0, 0, 0, 0));
  EXPECT_THAT(ValuesOf(EventLabel{Has({}, "DIAGNOSIS", "DIAG_B")}), ElementsAre(0, 0, 1, 0, 0, 1));
}

TEST(LabelCondition, ConditionsCombine) {
  const LabelCondition b = Has({"DIAG_B"}), in = Has({"TYPE_In"});
  EXPECT_THAT(ValuesOf(EventLabel{Join(Kind::kAll, {b, in})}), ElementsAre(0, 0, 0, 0, 0, 1));
  EXPECT_THAT(ValuesOf(EventLabel{Join(Kind::kAny, {b, in})}), ElementsAre(1, 0, 1, 0, 0, 1));
  EXPECT_THAT(ValuesOf(EventLabel{Join(Kind::kNot, {b})}), ElementsAre(1, 1, 0, 1, 1, 0));
  EXPECT_THAT(ValuesOf(EventLabel{Join(Kind::kAll, {})}), ElementsAre(1, 1, 1, 1, 1, 1));
  EXPECT_THAT(ValuesOf(EventLabel{Join(Kind::kAny, {})}), ElementsAre(0, 0, 0, 0, 0, 0));
}

TEST(LabelCondition, RangesHoldFromTheirFirstToBeforeTheirLast) {
  EXPECT_THAT(ValuesOf(EventLabel{Range(Kind::kAge, 30, 41)}), ElementsAre(1, 0, 0, 1, 1, 0));
  // abspos 10 is 2020-01-10, 50 is 2020-02-19, -100 is 2019-09-22.
  EXPECT_THAT(ValuesOf(EventLabel{Range(Kind::kDate, Day(2020, 1, 10), Day(2020, 2, 19))}),
              ElementsAre(1, 0, 0, 0, 0, 0));
  EXPECT_THAT(ValuesOf(EventLabel{Range(Kind::kDate, std::numeric_limits<int64_t>::min(), Day(2020, 1, 10))}),
              ElementsAre(0, 0, 0, 0, 0, 1));
  EXPECT_THAT(ValuesOf(EventLabel{Range(Kind::kDate, Day(2019, 9, 22), std::numeric_limits<int64_t>::max())}),
              ElementsAre(1, 1, 1, 1, 1, 1));
}

TEST(LabelCondition, ATokenIsJudgedAloneUnlessItsEventIsMeant) {
  const auto corpus = Register();
  const auto alone = Built(*corpus, TokenLabel{Has({"DIAG_A", "FEMALE"})});
  const auto event = Built(*corpus, TokenLabel{Join(Kind::kInEvent, {Has({"DIAG_A"})})});
  const auto old = Built(*corpus, TokenLabel{Range(Kind::kAge, 0, 200)});
  const Document document = corpus->DocumentAt(0);
  const int32_t diag_a = *corpus->vocabulary().Find("DIAG_A"), female = *corpus->vocabulary().Find("FEMALE");
  for (int64_t row = 0; row < document.length(); ++row) {
    EXPECT_EQ(alone->Token(0, 0, row), document.token[row] == diag_a || document.token[row] == female) << row;
    EXPECT_EQ(event->Token(0, 0, row), document.event[row] == 1) << row;
    EXPECT_EQ(old->Token(0, 0, row), document.event[row] > 0) << "the background has no age " << row;
  }
}

TEST(LabelCondition, TokensThatTheCorpusDoesNotHaveAreRefused) {
  EXPECT_EQ(BuildError(EventLabel{Has({"DIAG_Z"})}), "label column label: token 'DIAG_Z' is not in the vocabulary");
  EXPECT_THAT(BuildError(EventLabel{Has({}, "DIAGNOSE")}), HasSubstr("no token of the vocabulary is in the set"));
  EXPECT_THAT(BuildError(EventLabel{Join(Kind::kAny, {Has({})})}), HasSubstr("a token set of nothing"));
  EXPECT_THAT(BuildError(EventNumberLabel{{LabelNumber::Kind::kToken, "DIAG_"}}),
              HasSubstr("no token of the vocabulary is 'DIAG_' and a number"));
}

TEST(LabelNumber, AnEventsNumberIsItsAgeItsDayOrThatOfAToken) {
  EXPECT_THAT(ValuesOf(EventNumberLabel{{LabelNumber::Kind::kAge, ""}}), ElementsAre(40, 41, 41, 30, 32, 29));
  EXPECT_THAT(ValuesOf(EventNumberLabel{{LabelNumber::Kind::kDay, ""}}), ElementsAre(10, 400, 400, 50, 800, -100));
  EXPECT_THAT(ValuesOf(EventNumberLabel{{LabelNumber::Kind::kToken, "INCOME_"}}),
              ElementsAre(kNone, 3, kNone, 1, 5, kNone));
}

TEST(PersonLabel, SaysWhatTheEventsSayTogether) {
  using Value = PersonLabel::Value;
  const LabelCondition diagnosis = Has({}, "DIAGNOSIS");
  const LabelNumber age{LabelNumber::Kind::kAge, ""}, income{LabelNumber::Kind::kToken, "INCOME_"};
  EXPECT_THAT(ValuesOf(PersonLabel{diagnosis, false, Value::kExists, {}}), ElementsAre(1, 0, 0, 1));
  EXPECT_THAT(ValuesOf(PersonLabel{diagnosis, false, Value::kCount, {}}), ElementsAre(2, 0, 0, 1));
  EXPECT_THAT(ValuesOf(PersonLabel{{}, false, Value::kCount, {}}), ElementsAre(3, 2, 0, 1));
  EXPECT_THAT(ValuesOf(PersonLabel{diagnosis, false, Value::kFirst, age}), ElementsAre(40, kNone, kNone, 29));
  EXPECT_THAT(ValuesOf(PersonLabel{diagnosis, false, Value::kLast, age}), ElementsAre(41, kNone, kNone, 29));
  EXPECT_THAT(ValuesOf(PersonLabel{{}, false, Value::kFirst, income}), ElementsAre(3, 1, kNone, kNone));
  EXPECT_THAT(ValuesOf(PersonLabel{{}, false, Value::kMean, income}), ElementsAre(3, 3, kNone, kNone));
}

TEST(PersonLabel, TheBackgroundIsLookedAtAlone) {
  using Value = PersonLabel::Value;
  EXPECT_THAT(ValuesOf(PersonLabel{Has({"FEMALE"}), true, Value::kExists, {}}), ElementsAre(1, 0, 0, 1));
  EXPECT_THAT(ValuesOf(PersonLabel{Has({"DIAG_A"}), true, Value::kExists, {}}), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(ValuesOf(PersonLabel{{}, true, Value::kFirst, {LabelNumber::Kind::kToken, "YEAR_"}}),
              ElementsAre(1980, 1990, 1980, 1990));
  EXPECT_THAT(ValuesOf(PersonLabel{{}, true, Value::kFirst, {LabelNumber::Kind::kAge, ""}}),
              ElementsAre(kNone, kNone, kNone, kNone));
}

TEST(TraitLabel, IsTheTraitAsACategory) {
  const auto corpus = Register();
  const auto team = Built(*corpus, PersonTraitLabel{"team"});
  EXPECT_THAT(Values(*team), ElementsAre(0, 1, kNone, 1));
  EXPECT_THAT(team->columns()[0].values, ElementsAre("red", "blue"));
  EXPECT_THAT(ValuesOf(EventTraitLabel{"mood"}), ElementsAre(kNone, 0, 1, 1, 0, 0));
  EXPECT_EQ(BuildError(PersonTraitLabel{"mood"}),
            "label column label: the corpus has no person trait 'mood'; it has team");
}

TEST(TraitLabel, OfASyntheticWorldAgreesWithItsTruth) {
  const std::string folder = TemporaryFolder() + "/world";
  SynthesizeWorld(folder, {60, 3, 96});
  const auto corpus = Corpus::Open(folder);
  for (size_t t = 0; t < corpus->event_traits().size(); ++t) {
    const auto table = Built(*corpus, EventTraitLabel{corpus->event_traits()[t].name});
    for (int64_t i = 0; i < corpus->size(); ++i) {
      for (int32_t event = 1; event <= corpus->event_count(i); ++event) {
        const int8_t truth = corpus->EventTrait(i, event, static_cast<int64_t>(t));
        const double label = table->Event(0, i, event);
        EXPECT_EQ(std::isnan(label) ? -1 : label, truth);
      }
    }
  }
}

std::string Csv(const std::string& text) {
  const std::string path = TemporaryFolder() + "/values.csv";
  WriteFileAtomically(path, text);
  return path;
}

CsvLabel PersonCsv(const std::string& text, LabelKind kind) {
  CsvLabel label;
  label.file = Csv(text);
  label.person_column = "ID";
  label.value_column = "V";
  label.kind = kind;
  return label;
}

TEST(CsvLabel, PersonsHaveTheValuesOfTheirRows) {
  EXPECT_THAT(ValuesOf(PersonCsv("ID,V\n40,1.5\n10,-2\n20,NA\n", LabelKind::kNumber)),
              ElementsAre(-2, kNone, kNone, 1.5));
  EXPECT_THAT(ValuesOf(PersonCsv("V,ID\ntrue,10\n0,20\nFALSE,30\n1,40\n", LabelKind::kBoolean)),
              ElementsAre(1, 0, 0, 1));
}

TEST(CsvLabel, CategoriesAreSortedUnlessTheirOrderIsGiven) {
  const auto corpus = Register();
  CsvLabel label = PersonCsv("ID,V\n10,middle\n20,low\n30,high\n40,low\n", LabelKind::kCategory);
  const auto sorted = Built(*corpus, label);
  EXPECT_THAT(sorted->columns()[0].values, ElementsAre("high", "low", "middle"));
  EXPECT_THAT(Values(*sorted), ElementsAre(2, 1, 0, 1));
  label.values = {"low", "middle", "high", "highest"};
  const auto given = Built(*corpus, label);
  EXPECT_EQ(given->columns()[0].values, label.values);
  EXPECT_THAT(Values(*given), ElementsAre(1, 0, 2, 0));
}

TEST(CsvLabel, ABadRowMakesNoCategory) {
  const auto corpus = Register();
  LabelOptions options;
  options.max_bad_row_share = 0.5;
  const CsvLabel label = PersonCsv("ID,V\n10,low\n10,never\n20,high\n", LabelKind::kCategory);
  EXPECT_THAT(Built(*corpus, label, options)->columns()[0].values, ElementsAre("high", "low"));
}

TEST(CsvLabel, EventsAreFoundByNumberOrDayAndTokensByPosition) {
  CsvLabel label = PersonCsv("ID,V,E\n10,7,2\n20,8,1\n", LabelKind::kNumber);
  label.event_column = "E";
  EXPECT_THAT(ValuesOf(label), ElementsAre(kNone, 7, kNone, 8, kNone, kNone));
  label = PersonCsv("ID,V,D\n10,7,2021-02-03\n40,8,2019-09-22\n40,9,2019-09-23\n", LabelKind::kNumber);
  label.date_column = "D";
  EXPECT_THAT(ValuesOf(label), ElementsAre(kNone, 7, 7, kNone, kNone, 8));
  label = PersonCsv("ID,V,P\n30,5,3\n", LabelKind::kNumber);
  label.position_column = "P";
  const auto corpus = Register();
  const auto table = Built(*corpus, label);
  EXPECT_EQ(table->Token(0, 2, 3), 5);
  EXPECT_EQ(table->Summarize(0).present_count, 1);
}

TEST(CsvLabel, BadRowsAreCountedSampledAndRefusedAboveAShare) {
  const auto corpus = Register();
  const std::string text = "ID,V\n10,1\nten,1\n20,two\n10,3\n30\n77,1\n40,4\n";
  LabelOptions options;
  options.max_bad_row_share = 0.6;
  const std::string folder = TemporaryFolder() + "/labels";
  const CsvLabel label = PersonCsv(text, LabelKind::kNumber);
  const auto reports = BuildLabelTable(folder, *corpus, {{"label", label, ""}}, options);
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].row_count, 7);
  EXPECT_EQ(reports[0].skipped_row_count, 1);
  EXPECT_EQ(reports[0].bad_row_count, 4);
  EXPECT_THAT(
      reports[0].bad_row_samples,
      ElementsAre("values.csv:3: ID is 'ten', expected a whole number", "values.csv:4: V is 'two', expected a number",
                  "values.csv:5: a second value for the same person", "values.csv:6: 1 columns, expected 2"));
  EXPECT_THAT(Values(*LabelTable::Open(folder, *corpus)), ElementsAre(1, kNone, kNone, 4));
  EXPECT_THAT(BuildError(label), HasSubstr("values.csv: 4 of 7 rows are bad, expected at most a share of 0.01; the "
                                           "first: values.csv:3: ID is 'ten'"));
}

TEST(CsvLabel, WhatSaysNothingOfTheCorpusIsRefused) {
  EXPECT_THAT(BuildError(PersonCsv("ID,V\n77,1\n10,NA\n", LabelKind::kNumber)),
              HasSubstr("none of its 2 rows has a value"));
  EXPECT_THAT(BuildError(PersonCsv("ID,W\n10,1\n", LabelKind::kNumber)), HasSubstr("values.csv:1: no column 'V'"));
  CsvLabel label = PersonCsv("ID,V,E\n30,1,1\n", LabelKind::kNumber);
  label.event_column = "E";
  EXPECT_THAT(BuildError(label), HasSubstr("E is '1', expected a whole number from 1 to 0 (person 30)"));
  label = PersonCsv("ID,V\n10,lots\n", LabelKind::kCategory);
  label.values = {"few", "many"};
  EXPECT_THAT(BuildError(label), HasSubstr("V is 'lots', expected one of the column's 2 values"));
}

TEST(BuildLabelTable, KeepsNamesOrderAndDefinitions) {
  const auto corpus = Register();
  const std::string folder = TemporaryFolder() + "/labels";
  std::vector<int64_t> seen;
  BuildLabelTable(folder, *corpus,
                  {{"b", EventLabel{Has({"DIAG_A"})}, "b's text"}, {"a", PersonTraitLabel{"team"}, "a's text"}}, {},
                  [&](int64_t done, int64_t) { seen.push_back(done); });
  const auto table = LabelTable::Open(folder, *corpus);
  EXPECT_EQ(table->columns()[0].name, "b");
  EXPECT_EQ(table->columns()[0].definition, "b's text");
  EXPECT_EQ(table->columns()[1].definition, "a's text");
  EXPECT_EQ(seen.back(), corpus->size());
}

TEST(BuildLabelTable, AFaultLeavesNothing) {
  const auto corpus = Register();
  const std::string parent = TemporaryFolder();
  EXPECT_THAT(ValueErrorOf([&] {
                BuildLabelTable(parent + "/labels", *corpus,
                                {{"a", PersonTraitLabel{"team"}, ""}, {"a", PersonTraitLabel{"team"}, ""}});
              }),
              HasSubstr("column a is there twice"));
  EXPECT_TRUE(std::filesystem::is_empty(parent));
}

TEST(LabelSummary, CountsWhatIsKnown) {
  const auto corpus = Register();
  const LabelSummary mood = Built(*corpus, EventTraitLabel{"mood"})->Summarize(0);
  EXPECT_EQ(mood.row_count, 6);
  EXPECT_EQ(mood.present_count, 5);
  EXPECT_THAT(mood.value_counts, ElementsAre(3, 2));
  const LabelSummary day = Built(*corpus, EventNumberLabel{{LabelNumber::Kind::kDay, ""}})->Summarize(0);
  EXPECT_EQ(day.minimum, -100);
  EXPECT_EQ(day.maximum, 800);
  EXPECT_DOUBLE_EQ(day.mean, 260);
}

}  // namespace
}  // namespace lifescope
