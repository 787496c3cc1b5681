#include "server/training/class_target.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Seven persons whose trait "mood" goes none, low, high, low...; "town" is always the same.
std::shared_ptr<const Corpus> MoodyCorpus() {
  std::vector<Vocabulary::Entry> entries;
  for (const char* token :
       {"[PAD]", "[CLS]", "[SEP]", "[MASK]", "[PLCH0]", "[PLCH1]", "[PLCH2]", "[PLCH3]", "[PLCH4]", "[UNK]", "A"}) {
    entries.push_back({token, "GENERAL"});
  }
  const std::string folder = TemporaryFolder() + "/moody";
  CorpusWriter writer(folder, Vocabulary::FromEntries(entries), 16, Date{2020, 1, 1}, "moody",
                      {{"mood", {"low", "high"}}, {"town", {"here"}}});
  for (int64_t person = 0; person < 7; ++person) {
    const auto mood = static_cast<int8_t>(person == 0 ? -1 : (person + 1) % 2);
    writer.Add(EncodeLife(person, {10}, {{5, 1, {10}}}, 16).document, Split::kTrain, 0, {mood, 0});
  }
  writer.Finish();
  return Corpus::Open(folder);
}

std::vector<int64_t> Classes(const ClassTarget& target) {
  std::vector<int64_t> classes;
  for (int64_t person = 0; person < 7; ++person) classes.push_back(target.class_of(person));
  return classes;
}

std::string ErrorOf(const std::string& text) {
  try {
    ParseClassTarget(text, MoodyCorpus());
  } catch (const c10::ValueError& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

TEST(ClassTarget, ATraitHasAClassForEveryValue) {
  const ClassTarget target = ParseClassTarget("trait:mood", MoodyCorpus());
  EXPECT_EQ(target.target.name, "trait:mood");
  EXPECT_EQ(target.target.classes, (std::vector<std::string>{"low", "high"}));
  EXPECT_EQ(Classes(target), (std::vector<int64_t>{-1, 0, 1, 0, 1, 0, 1}));
}

TEST(ClassTarget, AValueIsClassOneAgainstTheOthers) {
  const ClassTarget target = ParseClassTarget("trait:mood=low", MoodyCorpus());
  EXPECT_EQ(target.target.classes, (std::vector<std::string>{"not low", "low"}));
  EXPECT_EQ(Classes(target), (std::vector<int64_t>{-1, 1, 0, 1, 0, 1, 0}));
}

TEST(ClassTarget, WhatIsNotThereIsNamedWithWhatIs) {
  EXPECT_THAT(ErrorOf("mood"), AllOf(HasSubstr("'mood'"), HasSubstr("trait:<name>")));
  EXPECT_THAT(ErrorOf("trait:height"), AllOf(HasSubstr("'height'"), HasSubstr("mood, town")));
  EXPECT_THAT(ErrorOf("trait:mood=middling"), AllOf(HasSubstr("'middling'"), HasSubstr("low, high")));
}

TEST(ClassTarget, ShufflingKeepsCountsAndWhoHasAClass) {
  const auto corpus = MoodyCorpus();
  const ClassTarget target = ParseClassTarget("trait:mood", corpus);
  const std::vector<int64_t> before = Classes(target);
  bool moved = false;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const std::vector<int64_t> after = Classes(Shuffled(target, *corpus, seed));
    EXPECT_EQ(after[0], -1);
    EXPECT_EQ(std::count(after.begin(), after.end(), 1), 3);
    EXPECT_EQ(Classes(Shuffled(target, *corpus, seed)), after);
    moved |= after != before;
  }
  EXPECT_TRUE(moved);
  EXPECT_THAT(Shuffled(target, *corpus, 3).target.name, HasSubstr("shuffled, seed 3"));
}

}  // namespace
}  // namespace lifescope
