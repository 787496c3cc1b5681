#include "client/cli/document_argument.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/temporary_file.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

absl::StatusOr<v1::Document> ReadLife(const std::string& text) {
  const TemporaryFile file(text, "life.json");
  DocumentSource source;
  source.lives = {file.path()};
  return ReadDocument(source, {});
}

TEST(DocumentArgumentTest, PersonsKeepTheirOrderAndShareCorpusAndMask) {
  DocumentSource source;
  source.persons = "18,17";
  const auto documents = ReadDocuments(source, {"demo", "12,13"});
  ASSERT_TRUE(documents.ok()) << documents.status();
  ASSERT_EQ(documents->size(), 2);
  EXPECT_EQ((*documents)[0].person().person_id(), 18);
  EXPECT_EQ((*documents)[1].person().corpus(), "demo");
  EXPECT_THAT((*documents)[1].mask_positions(), ElementsAre(12, 13));
}

TEST(DocumentArgumentTest, ALifeFileMayHoldALife) {
  const auto document =
      ReadLife(R"({"background": ["FEMALE"], "events": [{"abspos": 12001, "age": 32, "tokens": ["IND_4662"]}]})");
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(document->life().events(0).age(), 32);
}

TEST(DocumentArgumentTest, ALifeFileMayHoldADocument) {
  const auto document = ReadLife(R"({"slots": {"tokens": [1, 2]}, "maskPositions": [1]})");
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_THAT(document->slots().tokens(), ElementsAre(1, 2));
  EXPECT_THAT(document->mask_positions(), ElementsAre(1));
}

TEST(DocumentArgumentTest, AnUnknownFieldOfALifeIsNamed) {
  const auto document = ReadLife(R"({"events": [{"abspos": 1, "agee": 2}]})");
  EXPECT_THAT(std::string(document.status().message()),
              AllOf(HasSubstr("life.json: events[0]: unknown field 'agee'"), HasSubstr("tokens")));
}

TEST(DocumentArgumentTest, AFileWithoutALifeIsRefused) {
  EXPECT_THAT(std::string(ReadLife(R"({"mask_positions": [3]})").status().message()), HasSubstr("expected a life"));
  EXPECT_TRUE(absl::IsInvalidArgument(ReadLife("{}").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ReadLife("[]").status()));
}

TEST(DocumentArgumentTest, OneLifeMeansOne) {
  DocumentSource source;
  source.person_option = "--clean-person";
  source.persons = "17,18";
  const auto document = ReadDocument(source, {});
  EXPECT_THAT(std::string(document.status().message()), AllOf(HasSubstr("--clean-person"), HasSubstr("found 2")));
}

TEST(DocumentArgumentTest, AWrongNumberNamesItsOption) {
  DocumentSource source;
  source.persons = "17x";
  EXPECT_THAT(std::string(ReadDocuments(source, {}).status().message()), HasSubstr("--person: '17x'"));
  source.persons = "17";
  EXPECT_THAT(std::string(ReadDocuments(source, {"", "a"}).status().message()), HasSubstr("--mask: 'a'"));
}

TEST(DocumentArgumentTest, DocumentsAreDescribedByWhatTheyAre) {
  v1::Document document;
  document.mutable_person()->set_person_id(17);
  EXPECT_EQ(DescribeDocument(document), "person 17");
  document.mutable_person()->set_corpus("demo");
  EXPECT_EQ(DescribeDocument(document), "person 17 of demo");
  document.mutable_slots()->add_tokens(1);
  EXPECT_EQ(DescribeDocument(document), "slots of 1 positions");
}

}  // namespace
}  // namespace lifescope
