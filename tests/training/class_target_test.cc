#include "server/training/class_target.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

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

std::string ErrorOf(const std::string& text, const std::shared_ptr<const LabelTable>& labels = nullptr) {
  try {
    ParseClassTarget(text, MoodyCorpus(), labels);
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

// "smokes" (boolean, of persons) and "height" (number), row by row; person 1 has neither.
std::shared_ptr<const LabelTable> LabelsOf(const Corpus& corpus) {
  const std::string folder = TemporaryFolder() + "/labels";
  LabelTableWriter writer(folder, corpus,
                          {{"smokes", LabelScope::kPerson, LabelKind::kBoolean, {}, ""},
                           {"height", LabelScope::kPerson, LabelKind::kNumber, {}, ""},
                           {"region", LabelScope::kPerson, LabelKind::kCategory, {"north", "south", "west"}, ""}});
  for (int64_t person = 0; person < 7; ++person) {
    writer.Append(0, person == 1 ? std::nan("") : static_cast<double>(person % 2));
    writer.Append(1, person == 1 ? std::nan("") : 150.0 + static_cast<double>(person));
    writer.Append(2, static_cast<double>(person % 3));
  }
  writer.Finish();
  return LabelTable::Open(folder, corpus);
}

TEST(ClassTarget, ALabelOfPersonsIsOneToo) {
  const auto corpus = MoodyCorpus();
  const auto labels = LabelsOf(*corpus);
  const ClassTarget smokes = ParseClassTarget("label:smokes", corpus, labels);
  EXPECT_EQ(smokes.target.classes, (std::vector<std::string>{"no", "yes"}));
  EXPECT_EQ(Classes(smokes), (std::vector<int64_t>{0, -1, 0, 1, 0, 1, 0}));
  EXPECT_EQ(Classes(ParseClassTarget("label:region", corpus, labels)), (std::vector<int64_t>{0, 1, 2, 0, 1, 2, 0}));
  EXPECT_EQ(Classes(ParseClassTarget("label:region=south", corpus, labels)),
            (std::vector<int64_t>{0, 1, 0, 0, 1, 0, 0}));
}

TEST(ClassTarget, ALabelThatIsNoClassOfPersonsIsRefused) {
  const auto corpus = MoodyCorpus();
  const auto labels = LabelsOf(*corpus);
  EXPECT_THAT(ErrorOf("label:height", labels),
              AllOf(HasSubstr("number per person"), HasSubstr("boolean or a category")));
  EXPECT_THAT(ErrorOf("label:weight", labels), HasSubstr("smokes, height, region"));
  EXPECT_THAT(ErrorOf("label:smokes"), HasSubstr("no label table is given"));
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
