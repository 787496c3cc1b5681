#include "server/corpus/label_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "tests/corpus/small_register.h"
#include "tests/corpus/value_error.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

namespace fs = std::filesystem;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

const std::vector<LabelColumn> kColumns = {
    {"smoker", LabelScope::kPerson, LabelKind::kBoolean, {}, "by hand"},
    {"mood", LabelScope::kEvent, LabelKind::kCategory, {"low", "middle", "high"}, "asked"},
    {"weight", LabelScope::kToken, LabelKind::kNumber, {}, "drawn"},
};

// What the test writes: the value of a row.
double Smoker(int64_t row) { return row == 2 ? kNone : static_cast<double>(row % 2); }
double Mood(int64_t row) { return row == 1 ? kNone : static_cast<double>(row % 3); }
double Weight(int64_t row) { return row % 5 == 0 ? kNone : -0.5 * static_cast<double>(row); }

std::string WrittenTable(const Corpus& corpus) {
  const std::string folder = TemporaryFolder() + "/table";
  LabelTableWriter writer(folder, corpus, kColumns);
  for (int64_t i = 0; i < corpus.size(); ++i) writer.Append(0, Smoker(i));
  for (int64_t i = 0; i < corpus.manifest().event_count; ++i) writer.Append(1, Mood(i));
  for (int64_t i = 0; i < corpus.manifest().token_count; ++i) writer.Append(2, Weight(i));
  writer.Finish();
  return folder;
}

void ExpectSame(double found, double expected) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(found)) << found;
  } else {
    EXPECT_EQ(found, expected);
  }
}

TEST(LabelTable, EveryValueComesBackAtItsPlace) {
  const auto corpus = Corpus::Open(WriteSmallRegister());
  const auto table = LabelTable::Open(WrittenTable(*corpus), *corpus, /*verify_digests=*/true);
  int64_t events = 0, tokens = 0;
  for (int64_t i = 0; i < corpus->size(); ++i) {
    ExpectSame(table->Person(0, i), Smoker(i));
    const Document document = corpus->DocumentAt(i);
    for (int32_t event = 1; event <= document.event_count(); ++event)
      ExpectSame(table->Event(1, i, event), Mood(events++));
    for (int64_t row = 0; row < document.length(); ++row) ExpectSame(table->Token(2, i, row), Weight(tokens++));
  }
  EXPECT_EQ(table->row_count(0), 4);
  EXPECT_EQ(table->row_count(1), events);
  EXPECT_EQ(table->row_count(2), tokens);
}

TEST(LabelTable, ColumnsComeBackAndAreFoundByName) {
  const auto corpus = Corpus::Open(WriteSmallRegister());
  const auto table = LabelTable::Open(WrittenTable(*corpus), *corpus);
  ASSERT_EQ(table->columns().size(), 3u);
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_EQ(table->columns()[c].name, kColumns[c].name);
    EXPECT_EQ(table->columns()[c].scope, kColumns[c].scope);
    EXPECT_EQ(table->columns()[c].kind, kColumns[c].kind);
    EXPECT_EQ(table->columns()[c].values, kColumns[c].values);
    EXPECT_EQ(table->columns()[c].definition, kColumns[c].definition);
    EXPECT_EQ(table->Find(kColumns[c].name), c);
  }
  EXPECT_FALSE(table->Find("height").has_value());
  EXPECT_EQ(table->corpus_digest(), corpus->digest());
}

TEST(LabelTable, DigestIsThatOfTheManifestAndFollowsTheValues) {
  const auto corpus = Corpus::Open(WriteSmallRegister());
  const std::string first = WrittenTable(*corpus), second = WrittenTable(*corpus);
  EXPECT_EQ(LabelTable::Open(first, *corpus)->digest(), Sha256OfFile(first + "/labels.json"));
  EXPECT_EQ(LabelTable::Open(first, *corpus)->digest(), LabelTable::Open(second, *corpus)->digest());
  const std::string other = TemporaryFolder() + "/other";
  LabelTableWriter writer(other, *corpus, {kColumns[0]});
  for (int i = 0; i < 4; ++i) writer.Append(0, 1);
  writer.Finish();
  EXPECT_NE(LabelTable::Open(first, *corpus)->digest(), LabelTable::Open(other, *corpus)->digest());
}

TEST(LabelTable, LabelsOfAnotherCorpusAreRefused) {
  const auto corpus = Corpus::Open(WriteSmallRegister()), other = Corpus::Open(WriteSmallRegister("another"));
  const std::string folder = WrittenTable(*corpus);
  EXPECT_THAT(ValueErrorOf([&] { LabelTable::Open(folder, *other); }),
              HasSubstr("labels of the corpus " + corpus->digest() + ", expected " + other->digest()));
}

TEST(LabelTable, WhatAColumnDoesNotHoldCannotBeAsked) {
  const auto corpus = Corpus::Open(WriteSmallRegister());
  const auto table = LabelTable::Open(WrittenTable(*corpus), *corpus);
  EXPECT_EQ(ValueErrorOf([&] { table->Event(0, 0, 1); }), "label column smoker is per person, asked per event");
  EXPECT_THROW(table->Person(3, 0), c10::IndexError);
  EXPECT_THROW(table->Person(0, 4), c10::IndexError);
  EXPECT_THROW(table->Event(1, 0, 0), c10::IndexError);
  EXPECT_THROW(table->Event(1, 0, 4), c10::IndexError);
  EXPECT_THROW(table->Event(1, 2, 1), c10::IndexError);
  EXPECT_THROW(table->Token(2, 0, corpus->length(0)), c10::IndexError);
}

TEST(LabelTable, BrokenFoldersAreRefused) {
  const auto corpus = Corpus::Open(WriteSmallRegister());
  const auto error = [&](const auto& breaking) {
    const std::string folder = WrittenTable(*corpus);
    breaking(folder);
    return ValueErrorOf([&] { LabelTable::Open(folder, *corpus); });
  };
  const auto in_manifest = [&](const std::string& from, const std::string& to) {
    return error([&](const std::string& folder) {
      std::string text = ReadFile(folder + "/labels.json");
      ASSERT_NE(text.find(from), std::string::npos);
      WriteFileAtomically(folder + "/labels.json", text.replace(text.find(from), from.size(), to));
    });
  };
  const auto in_file = [&](const std::string& name, char byte) {
    return error([&](const std::string& folder) {
      std::fstream(folder + "/" + name, std::ios::in | std::ios::out | std::ios::binary).write(&byte, 1);
    });
  };
  EXPECT_THAT(error([](const std::string& folder) { fs::remove(folder + "/labels.json"); }), HasSubstr("labels.json"));
  EXPECT_THAT(error([](const std::string& folder) { fs::remove(folder + "/mood.i32"); }), HasSubstr("mood.i32"));
  EXPECT_THAT(error([](const std::string& folder) { fs::resize_file(folder + "/weight.f64", 16); }),
              HasSubstr("weight.f64: 16 bytes, expected "));
  EXPECT_THAT(in_manifest("lifescope.labels", "other"), HasSubstr("labels.json: format \"other\" version 1"));
  EXPECT_THAT(in_manifest("\"kind\": \"number\"", "\"kind\": \"text\""),
              HasSubstr("labels.json: kind of column \"weight\" is 'text'"));
  EXPECT_THAT(in_manifest("\"smoker\"", "\"../smoker\""), HasSubstr("column name '../smoker'"));
  EXPECT_THAT(in_manifest("\"smoker\"", "\"mood\""), HasSubstr("column mood is there twice"));
  EXPECT_THAT(in_manifest("\"scope\"", "\"place\""), HasSubstr("scope"));
  EXPECT_THAT(in_file("smoker.i8", 2), HasSubstr("smoker.i8: row 0 is 2"));
  EXPECT_THAT(in_file("mood.i32", 3), HasSubstr("mood.i32: row 0 is 3"));
}

TEST(LabelTable, ACorruptedByteIsFoundByItsDigest) {
  const auto corpus = Corpus::Open(WriteSmallRegister());
  const std::string folder = WrittenTable(*corpus);
  std::fstream(folder + "/smoker.i8", std::ios::in | std::ios::out | std::ios::binary).write("\1", 1);
  EXPECT_NO_THROW(LabelTable::Open(folder, *corpus));
  EXPECT_THAT(ValueErrorOf([&] { LabelTable::Open(folder, *corpus, /*verify_digests=*/true); }),
              HasSubstr("smoker.i8: its bytes have sha256:"));
}

TEST(LabelTableWriter, StoppedBeforeFinishLeavesNothing) {
  const auto corpus = Corpus::Open(WriteSmallRegister());
  const std::string parent = TemporaryFolder();
  {
    LabelTableWriter writer(parent + "/stopped", *corpus, kColumns);
    writer.Append(0, 1);
    EXPECT_FALSE(fs::exists(parent + "/stopped"));
  }
  EXPECT_TRUE(fs::is_empty(parent));
}

TEST(LabelTableWriter, NeverReplacesATable) {
  const auto corpus = Corpus::Open(WriteSmallRegister());
  const std::string folder = WrittenTable(*corpus);
  EXPECT_THAT(ValueErrorOf([&] { LabelTableWriter(folder, *corpus, kColumns); }), HasSubstr("exists already"));
  EXPECT_EQ(std::distance(fs::directory_iterator(fs::path(folder).parent_path()), fs::directory_iterator()), 1);
}

TEST(LabelTableWriter, ValuesAndColumnsThatCannotBeAreRefused) {
  const auto corpus = Corpus::Open(WriteSmallRegister());
  const std::string folder = TemporaryFolder() + "/table";
  const auto error = [&](const LabelColumn& column, double value) {
    return ValueErrorOf([&] { LabelTableWriter(folder, *corpus, {column}).Append(0, value); });
  };
  EXPECT_THAT(error(kColumns[0], 2), HasSubstr("label column smoker: a value is 2"));
  EXPECT_THAT(error(kColumns[1], 0.5), HasSubstr("label column mood: a value is 0.5"));
  EXPECT_THAT(error(kColumns[1], 3), HasSubstr("expected a whole number from 0 to 2"));
  EXPECT_THAT(error(kColumns[2], INFINITY), HasSubstr("is infinite"));
  EXPECT_THAT(error({"a/b", LabelScope::kPerson, LabelKind::kBoolean, {}, ""}, 0), HasSubstr("column name 'a/b'"));
  EXPECT_THAT(error({"empty", LabelScope::kPerson, LabelKind::kCategory, {}, ""}, 0), HasSubstr("0 named values"));
  EXPECT_THAT(error({"twice", LabelScope::kPerson, LabelKind::kCategory, {"x", "x"}, ""}, 0),
              HasSubstr("a value is there twice"));
  EXPECT_THAT(ValueErrorOf([&] {
                LabelTableWriter writer(folder, *corpus, {kColumns[0]});
                writer.Append(0, 1);
                writer.Finish();
              }),
              HasSubstr("label column smoker: 1 values, expected 4, one per person"));
  EXPECT_FALSE(fs::exists(folder));
}

}  // namespace
}  // namespace lifescope
