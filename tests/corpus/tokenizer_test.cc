#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "server/corpus/raw_life.h"
#include "tests/corpus/value_error.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

RawSchema TwoFieldSchema() {
  RawSchema schema = RawSchema::Life2vecLight();
  schema.sources = {{"visits", {{"CODE", "CODE", "CODE", false}, {"COST", "COST", "COST", true}}}};
  schema.bin_count = 5;
  schema.first_birth_year = 1980;
  schema.last_birth_year = 1981;
  return schema;
}

RawPerson Person(int64_t id, std::vector<std::vector<std::string>> rows, const std::string& sex = "FEMALE") {
  RawPerson person{id, {1980, 3, 4}, sex, {}};
  int32_t day = 1;
  for (std::vector<std::string>& row : rows) person.events.push_back({{2020, 2, day++}, 0, std::move(row)});
  return person;
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
  const Tokenizer tokenizer = Tokenizer::Fit(TwoFieldSchema(), {}, {Person(1, {})}, {Split::kTrain});
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
  const Tokenizer tokenizer =
      Tokenizer::Fit(TwoFieldSchema(), {}, {Person(1, rows), Person(2, rows)}, {Split::kTrain, Split::kTrain});
  EXPECT_EQ(ContentTokens(tokenizer), (std::vector<std::string>{"CODE_2", "CODE_2_9", "CODE_2_10", "CODE_07", "CODE_9",
                                                                "CODE_10", "CODE_A", "CODE_B"}));
}

TEST(Tokenizer, ATokenNeedsEnoughDistinctTrainingPersons) {
  const std::vector<RawPerson> persons = {Person(1, {{"A", ""}, {"A", ""}, {"B", ""}}),
                                          Person(2, {{"B", ""}, {"C", ""}}), Person(3, {{"A", ""}, {"C", ""}})};
  const Tokenizer tokenizer =
      Tokenizer::Fit(TwoFieldSchema(), {}, persons, {Split::kTrain, Split::kTrain, Split::kTest});
  EXPECT_EQ(ContentTokens(tokenizer), std::vector<std::string>{"CODE_B"});
  EXPECT_EQ(Words(tokenizer, persons[2]), (std::vector<std::string>{"[CLS]", "FEMALE", "MONTH_3", "YEAR_1980", "[SEP]",
                                                                    "[UNK]", "[SEP]", "[UNK]", "[SEP]"}));
}

TEST(Tokenizer, SpacesBecomeUnderscoresUnlessFaithful) {
  const std::vector<RawPerson> persons = {Person(1, {{"Urgent Care", ""}}), Person(2, {{"Urgent Care", ""}})};
  const std::vector<Split> splits(2, Split::kTrain);
  const Tokenizer sane = Tokenizer::Fit(TwoFieldSchema(), {}, persons, splits);
  EXPECT_EQ(Words(sane, persons[0])[5], "CODE_Urgent_Care");
  RawEncodeOptions faithful;
  faithful.faithful = true;
  const Tokenizer published = Tokenizer::Fit(TwoFieldSchema(), faithful, persons, splits);
  EXPECT_EQ(ContentTokens(published), std::vector<std::string>{"CODE_Urgent Care"});
  EXPECT_EQ(Words(published, persons[0]),
            (std::vector<std::string>{"[CLS]", "FEMALE", "[UNK]", "[UNK]", "[SEP]", "[UNK]", "[UNK]", "[SEP]"}));
}

TEST(Tokenizer, SexIsMatchedInAnyCaseUnlessFaithful) {
  RawEncodeOptions faithful;
  faithful.faithful = true;
  const std::vector<Split> splits = {Split::kTrain};
  for (const auto& [sex, sane_word, faithful_word] : {std::tuple{"Male", "MALE", "[UNK]"},
                                                      {"FEMALE", "FEMALE", "FEMALE"},
                                                      {"x", "[UNK]", "[UNK]"},
                                                      {"", "[UNK]", "[UNK]"}}) {
    const RawPerson person = Person(1, {{"A", ""}}, sex);
    EXPECT_EQ(Words(Tokenizer::Fit(TwoFieldSchema(), {}, {person}, splits), person)[1], sane_word) << sex;
    EXPECT_EQ(Words(Tokenizer::Fit(TwoFieldSchema(), faithful, {person}, splits), person)[1], faithful_word) << sex;
  }
}

TEST(Tokenizer, ValuesBelowTheFirstEdgeAreNotSaidAndAboveTheLastAreInTheLastBin) {
  std::vector<std::vector<std::string>> rows;
  for (int i = 10; i <= 50; ++i) rows.push_back({"", std::to_string(i)});
  const RawPerson person = Person(1, rows), twin = Person(2, rows);
  const Tokenizer tokenizer = Tokenizer::Fit(TwoFieldSchema(), {}, {person, twin}, {Split::kTrain, Split::kTrain});
  EXPECT_EQ(ContentTokens(tokenizer), (std::vector<std::string>{"COST_1", "COST_2", "COST_3"}));
  const RawPerson outside = Person(3, {{"", "9.99"}, {"", "0"}, {"", "-3"}, {"", ""}, {"", "10"}, {"", "1e9"}});
  const std::vector<std::string> words = Words(tokenizer, outside);
  EXPECT_EQ(std::vector<std::string>(words.begin() + 5, words.end()),
            (std::vector<std::string>{"COST_1", "[SEP]", "COST_3", "[SEP]"}));
}

TEST(Tokenizer, AFieldWithoutPositiveValuesIsNeverSaid) {
  const RawPerson person = Person(1, {{"A", "0"}, {"A", "-1"}});
  const Tokenizer tokenizer = Tokenizer::Fit(TwoFieldSchema(), {}, {person}, {Split::kTrain});
  EXPECT_TRUE(tokenizer.bin_edges.at("visits.COST").empty());
  EXPECT_EQ(Words(tokenizer, Person(2, {{"A", "7"}})).size(), 7u);
}

TEST(Tokenizer, EventsAreInOrderOfTimeAndCutAtTheThreshold) {
  RawSchema schema = TwoFieldSchema();
  schema.min_persons = 1;
  RawPerson person{1, {1980, 3, 4}, "MALE", {}};
  person.events = {{{2025, 12, 31}, 0, {"C", ""}},
                   {{2026, 1, 1}, 0, {"D", ""}},
                   {{2019, 12, 31}, 0, {"A", ""}},
                   {{2020, 1, 1}, 0, {"B", ""}},
                   {{2020, 1, 1}, 0, {"A", ""}}};
  const Tokenizer tokenizer = Tokenizer::Fit(schema, {}, {person}, {Split::kTrain});
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
  const std::vector<Split> splits = {Split::kTrain};
  EXPECT_THAT(ValueErrorOf([&] { Tokenizer::Fit(TwoFieldSchema(), {}, {Person(4, {{"A"}})}, splits); }),
              HasSubstr("person 4: 1 fields"));
  EXPECT_THAT(ValueErrorOf([&] {
                Tokenizer::Fit(TwoFieldSchema(), {}, {Person(4, {{"A", "1,5"}})}, splits);
              }),
              HasSubstr("COST is '1,5'"));
  EXPECT_THAT(ValueErrorOf([&] { Tokenizer::Fit(TwoFieldSchema(), {}, {Person(4, {})}, {}); }),
              HasSubstr("1 persons and 0 splits"));
}

TEST(FitBinEdges, AscendFromTheLeastToTheGreatestTrainingValue) {
  std::vector<double> values;
  for (int i = 1000; i > -1000; --i) values.push_back(i * 0.37);
  const std::vector<double> edges = FitBinEdges(values, 50);
  ASSERT_EQ(edges.size(), 49u);
  EXPECT_TRUE(std::is_sorted(edges.begin(), edges.end()));
  EXPECT_EQ(edges.front(), 0.37);
  EXPECT_EQ(edges.back(), 370.0);
}

TEST(FitBinEdges, FewValuesAreEnough) {
  EXPECT_TRUE(FitBinEdges({}, 50).empty());
  EXPECT_EQ(FitBinEdges({4.0}, 50), std::vector<double>(49, 4.0));
  EXPECT_THAT(ValueErrorOf([&] { FitBinEdges({1.0}, 2); }), HasSubstr("bin_count is 2"));
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

TEST(CorpusOrder, IsBySplitThenPerson) {
  const std::vector<RawPerson> persons = {Person(9, {}), Person(2, {}), Person(5, {}), Person(1, {})};
  EXPECT_EQ(CorpusOrder(persons, {Split::kTrain, Split::kTest, Split::kTrain, Split::kValidation}),
            (std::vector<size_t>{2, 0, 3, 1}));
}

}  // namespace
}  // namespace lifescope
