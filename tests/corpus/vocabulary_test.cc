#include "server/corpus/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/artifact/artifact.h"
#include "tests/corpus/value_error.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

constexpr char kSpecials[] =
    "ID\tTOKEN\tCATEGORY\n0\t[PAD]\tGENERAL\n1\t[CLS]\tGENERAL\n2\t[SEP]\tGENERAL\n3\t[MASK]\tGENERAL\n"
    "4\t[PLCH0]\tGENERAL\n5\t[PLCH1]\tGENERAL\n6\t[PLCH2]\tGENERAL\n7\t[PLCH3]\tGENERAL\n8\t[PLCH4]\tGENERAL\n"
    "9\t[UNK]\tGENERAL\n";

std::string Written(const std::string& text) {
  const std::string path = TemporaryFolder() + "/vocab.tsv";
  WriteFileAtomically(path, text);
  return path;
}

TEST(Vocabulary, FileComesBackToTheByte) {
  const std::string path = GoldenPath("life2vec/corpora/edge/vocab.tsv");
  const Vocabulary vocabulary = Vocabulary::Load(path);
  EXPECT_EQ(vocabulary.ToTsv(), ReadFile(path));
  EXPECT_EQ(vocabulary.token(189), "TYPE_Urgent Care");
  EXPECT_EQ(vocabulary.category(189), "PATIENT_TYPE");
}

TEST(Vocabulary, FindIsTheInverseOfToken) {
  const Vocabulary vocabulary = Vocabulary::Load(GoldenPath("life2vec/corpora/edge/vocab.tsv"));
  for (int32_t id = 0; id < vocabulary.size(); ++id) EXPECT_EQ(vocabulary.Find(vocabulary.token(id)), id);
  EXPECT_FALSE(vocabulary.Find("OCC_999").has_value());
}

TEST(Vocabulary, RowNumbersOfModelFoldersAreAccepted) {
  const Vocabulary vocabulary = Vocabulary::Load(GoldenPath("life2vec/struct_small/vocab.tsv"));
  EXPECT_EQ(vocabulary.size(), 244);
  EXPECT_EQ(vocabulary.token(205), "IND_8");
}

TEST(Vocabulary, WindowsLineEndsAreAccepted) {
  std::string text;
  for (const char c : std::string(kSpecials) + "10\tFEMALE\tBACKGROUND\n") {
    if (c == '\n') text += '\r';
    text += c;
  }
  EXPECT_EQ(Vocabulary::Load(Written(text)).category(10), "BACKGROUND");
}

TEST(Vocabulary, BadFilesAreRefusedWithTheirLine) {
  EXPECT_THAT(ValueErrorOf([&] { Vocabulary::Load("/no/such/vocab.tsv"); }), HasSubstr("/no/such/vocab.tsv"));
  EXPECT_THAT(ValueErrorOf([&] { Vocabulary::Load(Written("")); }), HasSubstr(":1: the header is ''"));
  EXPECT_THAT(ValueErrorOf([&] { Vocabulary::Load(Written("ID\tTOKEN\n")); }), HasSubstr(":1: the header is"));
  EXPECT_THAT(ValueErrorOf([&] { Vocabulary::Load(Written("ID\tTOKEN\tCATEGORY\n0\t[PAD]\tGENERAL\n")); }),
              HasSubstr("1 tokens, expected at"));
  const std::string specials = kSpecials;
  EXPECT_THAT(ValueErrorOf([&] { Vocabulary::Load(Written(specials + "11\tA\tX\n")); }),
              HasSubstr(":12: the id is '11', expected 10"));
  EXPECT_THAT(ValueErrorOf([&] { Vocabulary::Load(Written(specials + "10\tA\n")); }),
              HasSubstr(":12: 2 columns, expected 3"));
  EXPECT_THAT(ValueErrorOf([&] { Vocabulary::Load(Written(specials + "10\t\tX\n")); }),
              HasSubstr(":12: an empty token"));
  EXPECT_THAT(ValueErrorOf([&] { Vocabulary::Load(Written(specials + "10\tA\tX\n11\tA\tX\n")); }),
              HasSubstr(":13: token 'A' is already on line 12"));
  std::string swapped = kSpecials;
  swapped.replace(swapped.find("[SEP]"), 5, "[END]");
  EXPECT_THAT(ValueErrorOf([&] { Vocabulary::Load(Written(swapped)); }),
              HasSubstr(":4: token 2 is '[END]', expected '[SEP]'"));
}

TEST(Vocabulary, EntriesAreCheckedLikeFiles) {
  EXPECT_THAT(ValueErrorOf([&] { Vocabulary::FromEntries({}); }), HasSubstr("0 tokens"));
  const Vocabulary good = Vocabulary::Load(Written(kSpecials));
  std::vector<Vocabulary::Entry> entries;
  for (int32_t id = 0; id < good.size(); ++id) entries.push_back({good.token(id), good.category(id)});
  entries.push_back({"A\tB", "X"});
  EXPECT_THAT(ValueErrorOf([&] { Vocabulary::FromEntries(entries); }), HasSubstr("has a tab"));
  entries.back() = {"[SEP]", "X"};
  EXPECT_THAT(ValueErrorOf([&] { Vocabulary::FromEntries(entries); }), HasSubstr("'[SEP]' appears twice"));
}

}  // namespace
}  // namespace lifescope
