#include "server/corpus/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

#include "server/corpus/bin_edges.h"
#include "server/corpus/person_split.h"
#include "tests/corpus/value_error.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

TableDescription TwoFields() {
  TableDescription description = TableDescription::Life2vecLight();
  EventField code, cost;
  code.value.column = code.value.prefix = code.category = "CODE";
  cost.value.column = cost.value.prefix = cost.category = "COST";
  cost.bin_count = 5;
  description.tables = {{"visits", {{"visits.csv"}, {}, "ID", {}}, "DATE", {}, {}, "", {code, cost}}};
  description.first_birth_year = 1980;
  description.last_birth_year = 1981;
  return description;
}

RawPerson Person(int64_t id, std::vector<std::vector<std::string>> rows, const std::string& sex = "FEMALE") {
  RawPerson person{id, {1980, 3, 4}, {sex}, {}};
  int32_t day = 1;
  for (std::vector<std::string>& row : rows) person.events.push_back({{2020, 2, day++}, 0, std::move(row)});
  return person;
}

constexpr int64_t kLittleMemory = 1 << 12;

// Fitted on `persons`, all of them for training, with memory for about a hundred numbers.
Tokenizer Fitted(const TableDescription& description, const RawEncodeOptions& options,
                 const std::vector<RawPerson>& persons) {
  TokenizerFit fit(description, options, TemporaryFolder() + "/scratch", kLittleMemory);
  for (const RawPerson& person : persons) fit.AddNumbers(person);
  for (const RawPerson& person : persons) fit.AddTokens(person);
  return fit.Finish();
}

std::vector<std::string> Words(const Tokenizer& tokenizer, const RawPerson& person) {
  std::vector<std::string> words;
  for (const int32_t token : tokenizer.Encode(person).document.token) {
    words.push_back(tokenizer.vocabulary.token(token));
  }
  return words;
}

std::vector<std::string> ContentTokens(const Tokenizer& tokenizer) {
  std::vector<std::string> tokens;
  for (int32_t id = 10 + 2 + 12 + 2; id < tokenizer.vocabulary.size(); ++id) {
    tokens.push_back(tokenizer.vocabulary.token(id));
  }
  return tokens;
}

TEST(Tokenizer, VocabularyBeginsWithTheFixedTokens) {
  const Tokenizer tokenizer = Fitted(TwoFields(), {}, {Person(1, {})});
  const Vocabulary& vocabulary = tokenizer.vocabulary;
  EXPECT_EQ(vocabulary.size(), 26);
  EXPECT_EQ(vocabulary.token(10), "FEMALE");
  EXPECT_EQ(vocabulary.token(11), "MALE");
  EXPECT_EQ(vocabulary.token(12), "MONTH_1");
  EXPECT_EQ(vocabulary.token(23), "MONTH_12");
  EXPECT_EQ(vocabulary.token(25), "YEAR_1981");
  EXPECT_EQ(vocabulary.category(25), "YEAR");
}

TEST(Tokenizer, TokensAreOrderedByPartsWithDigitsAsNumbers) {
  const std::vector<std::vector<std::string>> rows = {{"10", ""}, {"9", ""},   {"B", ""},  {"2_10", ""},
                                                      {"A", ""},  {"2_9", ""}, {"07", ""}, {"2", ""}};
  const Tokenizer tokenizer = Fitted(TwoFields(), {}, {Person(1, rows), Person(2, rows)});
  EXPECT_EQ(ContentTokens(tokenizer), (std::vector<std::string>{"CODE_2", "CODE_2_9", "CODE_2_10", "CODE_07", "CODE_9",
                                                                "CODE_10", "CODE_A", "CODE_B"}));
}

TEST(Tokenizer, ATokenNeedsEnoughDistinctTrainingPersons) {
  const std::vector<RawPerson> persons = {Person(1, {{"A", ""}, {"A", ""}, {"B", ""}}),
                                          Person(2, {{"B", ""}, {"C", ""}}), Person(3, {{"A", ""}, {"C", ""}})};
  const Tokenizer tokenizer = Fitted(TwoFields(), {}, {persons[0], persons[1]});
  EXPECT_EQ(ContentTokens(tokenizer), std::vector<std::string>{"CODE_B"});
  EXPECT_EQ(Words(tokenizer, persons[2]), (std::vector<std::string>{"[CLS]", "FEMALE", "MONTH_3", "YEAR_1980", "[SEP]",
                                                                    "[UNK]", "[SEP]", "[UNK]", "[SEP]"}));
}

TEST(Tokenizer, SpacesBecomeUnderscoresUnlessFaithful) {
  const std::vector<RawPerson> persons = {Person(1, {{"Urgent Care", ""}}), Person(2, {{"Urgent Care", ""}})};
  const Tokenizer sane = Fitted(TwoFields(), {}, persons);
  EXPECT_EQ(Words(sane, persons[0])[5], "CODE_Urgent_Care");
  RawEncodeOptions faithful;
  faithful.faithful = true;
  const Tokenizer published = Fitted(TwoFields(), faithful, persons);
  EXPECT_EQ(ContentTokens(published), std::vector<std::string>{"CODE_Urgent Care"});
  EXPECT_EQ(Words(published, persons[0]),
            (std::vector<std::string>{"[CLS]", "FEMALE", "[UNK]", "[UNK]", "[SEP]", "[UNK]", "[UNK]", "[SEP]"}));
}

TEST(Tokenizer, SexIsMatchedInAnyCaseUnlessFaithful) {
  RawEncodeOptions faithful;
  faithful.faithful = true;
  for (const auto& [sex, sane_word, faithful_word] : {std::tuple{"Male", "MALE", "[UNK]"},
                                                      {"FEMALE", "FEMALE", "FEMALE"},
                                                      {"x", "[UNK]", "[UNK]"},
                                                      {"", "[UNK]", "[UNK]"}}) {
    const RawPerson person = Person(1, {{"A", ""}}, sex);
    EXPECT_EQ(Words(Fitted(TwoFields(), {}, {person}), person)[1], sane_word) << sex;
    EXPECT_EQ(Words(Fitted(TwoFields(), faithful, {person}), person)[1], faithful_word) << sex;
  }
}

TEST(Tokenizer, ValuesBelowTheFirstEdgeAreNotSaidAndAboveTheLastAreInTheLastBin) {
  std::vector<std::vector<std::string>> rows;
  for (int i = 10; i <= 50; ++i) rows.push_back({"", std::to_string(i)});
  const RawPerson person = Person(1, rows), twin = Person(2, rows);
  const Tokenizer tokenizer = Fitted(TwoFields(), {}, {person, twin});
  EXPECT_EQ(ContentTokens(tokenizer), (std::vector<std::string>{"COST_1", "COST_2", "COST_3"}));
  const RawPerson outside = Person(3, {{"", "9.99"}, {"", "0"}, {"", "-3"}, {"", ""}, {"", "10"}, {"", "1e9"}});
  const std::vector<std::string> words = Words(tokenizer, outside);
  EXPECT_EQ(std::vector<std::string>(words.begin() + 5, words.end()),
            (std::vector<std::string>{"COST_1", "[SEP]", "COST_3", "[SEP]"}));
}

TEST(Tokenizer, AFieldWithoutPositiveValuesIsNeverSaid) {
  const RawPerson person = Person(1, {{"A", "0"}, {"A", "-1"}});
  const Tokenizer tokenizer = Fitted(TwoFields(), {}, {person});
  EXPECT_TRUE(tokenizer.bin_edges.at("visits.COST").empty());
  EXPECT_EQ(Words(tokenizer, Person(2, {{"A", "7"}})).size(), 7u);
}

TEST(Tokenizer, EventsAreInOrderOfTimeAndCutAtTheThreshold) {
  TableDescription description = TwoFields();
  description.min_persons = 1;
  RawPerson person{1, {1980, 3, 4}, {"MALE"}, {}};
  person.events = {{{2025, 12, 31}, 0, {"C", ""}},
                   {{2026, 1, 1}, 0, {"D", ""}},
                   {{2019, 12, 31}, 0, {"A", ""}},
                   {{2020, 1, 1}, 0, {"B", ""}},
                   {{2020, 1, 1}, 0, {"A", ""}}};
  const Tokenizer tokenizer = Fitted(description, {}, {person});
  const Document document = tokenizer.Encode(person).document;
  EXPECT_EQ(Words(tokenizer, person),
            (std::vector<std::string>{"[CLS]", "MALE", "MONTH_3", "YEAR_1980", "[SEP]", "CODE_A", "[SEP]", "CODE_B",
                                      "[SEP]", "CODE_A", "[SEP]", "CODE_C", "[SEP]"}));
  EXPECT_EQ(document.abspos[5], 0);
  EXPECT_EQ(document.abspos[7], 1);
  EXPECT_EQ(document.abspos[11], 2192);
  EXPECT_EQ(document.age[5], 39);
  EXPECT_EQ(document.age[11], 45);
}

TEST(Tokenizer, MalformedPersonsAreRefused) {
  EXPECT_THAT(ValueErrorOf([&] { Fitted(TwoFields(), {}, {Person(4, {{"A"}})}); }), HasSubstr("person 4: 1 fields"));
  EXPECT_THAT(ValueErrorOf([&] { Fitted(TwoFields(), {}, {Person(4, {{"A", "1,5"}})}); }), HasSubstr("COST is '1,5'"));
  RawPerson other_table = Person(4, {{"A", "1"}});
  other_table.events[0].table = 1;
  EXPECT_THAT(ValueErrorOf([&] { Fitted(TwoFields(), {}, {other_table}); }), HasSubstr("event of table 1"));
}

TEST(Tokenizer, FieldsHaveMinimaOfTheirOwn) {
  TableDescription description = TwoFields();
  description.min_persons = 3;
  description.tables[0].fields[0].min_persons = 1;
  const RawPerson person = Person(1, {{"A", "10"}, {"B", "20"}});
  EXPECT_EQ(ContentTokens(Fitted(description, {}, {person})), (std::vector<std::string>{"CODE_A", "CODE_B"}));
}

TEST(Tokenizer, NumbersBelowZeroCountWhereTheyAreSaidTo) {
  TableDescription description = TwoFields();
  description.min_persons = 1;
  description.tables[0].fields[1].positive_only = false;
  const Tokenizer tokenizer = Fitted(description, {}, {Person(1, {{"", "-3"}, {"", "0"}, {"", "3"}})});
  EXPECT_EQ(tokenizer.bin_edges.at("visits.COST").front(), -3);
  EXPECT_EQ(Words(tokenizer, Person(2, {{"", "0"}}))[5], "COST_2");
}

TEST(Tokenizer, AnAgeThatIsSaidCounts) {
  TableDescription description = TwoFields();
  description.min_persons = 1;
  RawPerson person = Person(1, {{"A", ""}, {"A", ""}});
  person.events[0].age = 17;
  const Document document = Fitted(description, {}, {person}).Encode(person).document;
  EXPECT_EQ(document.age[5], 17);
  EXPECT_EQ(document.age[7], 40);
}

TEST(Tokenizer, TheOriginalAgeRuleLooksAtTheEndOfTheMonth) {
  TableDescription description = TwoFields();
  description.min_persons = 1;
  description.age_rule = AgeRule::kMonthEnd;
  const std::vector<std::tuple<Date, Date, int32_t>> cases = {
      {{2010, 6, 1}, {1981, 6, 30}, 29},    // the end of June is not before the birthday
      {{2010, 5, 30}, {1981, 6, 30}, 28},   // the end of May is
      {{2010, 5, 31}, {1981, 6, 30}, 29},   // on the last day of May the end of June counts
      {{2010, 12, 31}, {1981, 6, 30}, 28},  // on the last day of the year the end of January
      {{2010, 12, 30}, {1981, 6, 30}, 29},
      {{2010, 6, 1}, {1980, 6, 30}, 29},   // days of the year are compared: one later in a leap year
      {{2012, 1, 31}, {1980, 2, 29}, 32},  // day 60 of both years
      {{2011, 1, 31}, {1980, 2, 29}, 30}};
  for (const auto& [date, birthday, age] : cases) {
    RawPerson person{1, birthday, {"MALE"}, {{date, 0, {"A", ""}}}};
    EXPECT_EQ(Fitted(description, {}, {person}).Encode(person).document.age[5], age) << date.ToString();
  }
}

TEST(CodedValue, CellsAreCutThenReplacedThenInUpperCase) {
  CodedValue value;
  EXPECT_EQ(value.Token("DS72"), "DS72");
  value.skip_characters = 1;
  value.max_characters = 3;
  EXPECT_EQ(value.Token("DS72001"), "S72");
  EXPECT_EQ(value.Token("D\xC3\x86"
                        "bc"),
            "\xC3\x86"
            "bc");
  EXPECT_EQ(value.Token("D"), "");
  value.prefix = "DIAG";
  EXPECT_EQ(value.Token("DS72001"), "DIAG_S72");
  value.replacements = {{"S72", "hip"}};
  EXPECT_EQ(value.Token("DS72001"), "DIAG_hip");
  EXPECT_EQ(value.Token("DS71001"), "");
  value.otherwise = "other";
  value.upper_case = true;
  EXPECT_EQ(value.Token("DS71001"), "DIAG_OTHER");
  EXPECT_EQ(value.Token(""), "");
}

TEST(FitBinEdges, AscendFromTheLeastToTheGreatestTrainingValue) {
  std::vector<double> values;
  for (int i = 1; i <= 1000; ++i) values.push_back(i * 0.37);
  const std::vector<double> edges = FitBinEdges(values, 50);
  ASSERT_EQ(edges.size(), 49u);
  EXPECT_TRUE(std::is_sorted(edges.begin(), edges.end()));
  EXPECT_EQ(edges.front(), 0.37);
  EXPECT_EQ(edges.back(), 370.0);
}

TEST(FitBinEdges, FewValuesAreEnough) {
  EXPECT_TRUE(FitBinEdges({}, 50).empty());
  EXPECT_EQ(FitBinEdges(std::vector<double>{4.0}, 50), std::vector<double>(49, 4.0));
  EXPECT_THAT(ValueErrorOf([&] { FitBinEdges(std::vector<double>{1.0}, 2); }), HasSubstr("bin_count is 2"));
}

TEST(SplitPersons, SharesAreRoundedAndTheSeedDecides) {
  const auto count = [](const std::vector<Split>& splits, Split split) {
    return std::count(splits.begin(), splits.end(), split);
  };
  const std::vector<Split> splits = SplitPersons(501, 0.7, 0.15, 42);
  EXPECT_EQ(count(splits, Split::kTrain), 351);
  EXPECT_EQ(count(splits, Split::kValidation), 75);
  EXPECT_EQ(count(splits, Split::kTest), 75);
  EXPECT_EQ(splits, SplitPersons(501, 0.7, 0.15, 42));
  EXPECT_NE(splits, SplitPersons(501, 0.7, 0.15, 43));
  EXPECT_THAT(ValueErrorOf([&] { SplitPersons(10, 0.9, 0.2, 1); }), HasSubstr("split shares"));
}

}  // namespace
}  // namespace lifescope
