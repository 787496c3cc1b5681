#include "server/corpus/person_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/corpus/value_error.h"

namespace lifescope {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// As the published code writes one.
constexpr char kDocument[] =
    R"({"person_id":7,"sentences":[["DIAG_A","TYPE_In"],["INCOME_3"]],"abspos":[10,400],"age":[40.0,41.0],)"
    R"("timecut_pos":2,"segment":null,"background":{"origin":"DK","gender":"F","birth_month":6,"birth_year":1980},)"
    R"("shuffled":false,"task_info":null})";

std::string With(const std::string& from, const std::string& to) {
  std::string text = kDocument;
  EXPECT_NE(text.find(from), std::string::npos) << from;
  return text.replace(text.find(from), from.size(), to);
}

std::string ErrorWith(const std::string& from, const std::string& to) {
  return ValueErrorOf([&] { ParsePersonDocument(With(from, to)); });
}

TEST(PersonDocument, EveryFieldIsRead) {
  const PersonDocument document = ParsePersonDocument(kDocument);
  EXPECT_EQ(document.person_id, 7);
  EXPECT_THAT(document.sentences, ElementsAre(ElementsAre("DIAG_A", "TYPE_In"), ElementsAre("INCOME_3")));
  EXPECT_THAT(document.abspos, ElementsAre(10, 400));
  EXPECT_THAT(document.age, ElementsAre(40, 41));
  EXPECT_EQ(document.timecut_pos, 2);
  EXPECT_FALSE(document.segment.has_value());
  ASSERT_TRUE(document.background.has_value());
  EXPECT_TRUE(document.background->has_origin);
  EXPECT_EQ(document.background->origin, "DK");
  EXPECT_EQ(document.background->gender, "F");
  EXPECT_EQ(document.background->birth_month, 6);
  EXPECT_EQ(document.background->birth_year, 1980);
}

TEST(PersonDocument, OptionalFieldsMayBeNullOrMissing) {
  EXPECT_FALSE(ParsePersonDocument(With(R"("timecut_pos":2,"segment":null,)", "")).timecut_pos.has_value());
  EXPECT_THAT(ParsePersonDocument(With(R"("segment":null)", R"("segment":[3,1])")).segment,
              testing::Optional(ElementsAre(3, 1)));
  EXPECT_EQ(ParsePersonDocument(With(R"("origin":"DK")", R"("origin":null)")).background->origin, "");
  EXPECT_FALSE(ParsePersonDocument(With(R"("origin":"DK",)", "")).background->has_origin);
  const std::string hidden = R"({"person_id":1,"sentences":[],"abspos":[],"age":[],"background":null})";
  EXPECT_FALSE(ParsePersonDocument(hidden).background.has_value());
}

TEST(PersonDocument, WhatIsNoDocumentIsRefused) {
  EXPECT_THAT(ValueErrorOf([] { ParsePersonDocument(""); }), HasSubstr("parse error"));
  EXPECT_THAT(ValueErrorOf([] { ParsePersonDocument(std::string(kDocument).substr(0, 60)); }),
              HasSubstr("parse error"));
  EXPECT_THAT(ValueErrorOf([] { ParsePersonDocument("[1]"); }), HasSubstr("a array, expected an object"));
  EXPECT_THAT(ErrorWith("DIAG_A", "\xFF"), HasSubstr("UTF-8"));
  EXPECT_THAT(ErrorWith("\"person_id\"", "\"person\""), HasSubstr("no field person_id"));
  EXPECT_THAT(ErrorWith("\"person_id\":7", "\"person_id\":\"7\""), HasSubstr("person_id is \"7\", expected a whole"));
  EXPECT_THAT(ErrorWith("\"person_id\":7", "\"person_id\":7.5"), HasSubstr("person_id is 7.5"));
  EXPECT_THAT(ErrorWith(R"(["INCOME_3"])", "[]"), HasSubstr("sentence 1 is [], expected a list of token names"));
  EXPECT_THAT(ErrorWith(R"(["INCOME_3"])", "[3]"), HasSubstr("sentence 1 has the token 3, expected a name"));
  EXPECT_THAT(ErrorWith(R"(["INCOME_3"])", R"("INCOME_3")"), HasSubstr("sentence 1 is \"INCOME_3\""));
}

TEST(PersonDocument, DeepValuesAreRefusedLikeOthers) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_THAT(ErrorWith(R"("person_id":7)", R"("person_id":)" + deep), HasSubstr("person_id is a list, expected"));
  EXPECT_THAT(ErrorWith(R"(["INCOME_3"])", deep), HasSubstr("sentence 1 has the token a list, expected a name"));
  EXPECT_THAT(ErrorWith(R"(["INCOME_3"])", R"({"a":1})"), HasSubstr("sentence 1 is an object"));
}

TEST(PersonDocument, ListsMustAgreeAndNumbersFit) {
  EXPECT_THAT(ErrorWith("[40.0,41.0]", "[40.0]"), HasSubstr("age has 1 entries, sentences has 2: expected as many"));
  EXPECT_THAT(ErrorWith("[10,400]", "[10,400,500]"), HasSubstr("abspos has 3 entries"));
  EXPECT_THAT(ErrorWith("\"segment\":null", "\"segment\":[1]"), HasSubstr("segment has 1 entries"));
  EXPECT_THAT(ErrorWith("\"segment\":null", "\"segment\":[1,4]"), HasSubstr("segment is 4"));
  EXPECT_THAT(ErrorWith("41.0", "41.5"), HasSubstr("age is 41.5, expected a whole number"));
  EXPECT_THAT(ErrorWith("41.0", "1e300"), HasSubstr("age is 1e+300"));
  EXPECT_THAT(ErrorWith("41.0", "40000"), HasSubstr("age is 40000"));
  EXPECT_THAT(ErrorWith("400]", "18446744073709551615]"), HasSubstr("abspos is 18446744073709551615"));
  EXPECT_THAT(ErrorWith("\"timecut_pos\":2", "\"timecut_pos\":3"), HasSubstr("timecut_pos is 3"));
  EXPECT_THAT(ErrorWith("\"timecut_pos\":2", "\"timecut_pos\":-1"), HasSubstr("timecut_pos is -1"));
  EXPECT_THAT(ErrorWith("\"birth_month\":6", "\"birth_month\":13"), HasSubstr("birth_month is 13"));
  EXPECT_THAT(ErrorWith("\"gender\":\"F\"", "\"gender\":1"), HasSubstr("background: gender is 1, expected text"));
}

}  // namespace
}  // namespace lifescope
