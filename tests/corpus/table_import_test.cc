#include "server/corpus/table_import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/corpus/value_error.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

constexpr char kUsers[] = ",USER_ID,BIRTHDAY,SEX\n0,1,1980-10-01,Female\n1,2,1976-07-06,MALE\n2,3,1979-06-22,Male\n";
constexpr char kLabor[] =
    "USER_ID,RECORD_DATE,CITY,OCCUPATION,INDUSTRY,INCOME\n"
    "1,2020-02-01,7,25,3,13449.11\n2,2020-03-01,7,25,3,20000\n2,2021-03-01,7,,3,\n";
constexpr char kHealth[] =
    "USER_ID,RECORD_DATE,DIAGNOSIS,PATIENT_TYPE\n"
    "1,2020-01-15,A,Urgent Care\n2,2020-03-01,A,Urgent Care\n3,2026-05-01,A,Urgent Care\n";

std::string Tables(const std::string& users = kUsers, const std::string& labor = kLabor,
                   const std::string& health = kHealth) {
  const std::string folder = TemporaryFolder();
  WriteFileAtomically(folder + "/users.csv", users);
  WriteFileAtomically(folder + "/synth_labor.csv", labor);
  WriteFileAtomically(folder + "/synth_health.csv", health);
  return folder;
}

TableImportOptions WithSplit(const std::string& text) {
  TableImportOptions options;
  options.split_file = TemporaryFolder() + "/split.csv";
  WriteFileAtomically(options.split_file, text);
  return options;
}

std::vector<std::string> Words(const Corpus& corpus, int64_t index) {
  std::vector<std::string> words;
  for (const int32_t token : corpus.DocumentAt(index).token) words.push_back(corpus.vocabulary().token(token));
  return words;
}

TEST(TableImport, LivesAreReadInOrderOfTimeThenTable) {
  const std::string path = TemporaryFolder() + "/corpus";
  const TableImportReport report =
      ImportTables(Tables(), path, WithSplit("USER_ID,split\n1,train\n2,train\n3,validation\n"));
  EXPECT_EQ(report.row_count, 9);
  EXPECT_EQ(report.bad_row_count, 0);
  EXPECT_EQ(report.person_count, 2);
  EXPECT_EQ(report.eventless_person_count, 1);  // the third has events after the threshold only
  EXPECT_EQ(report.event_count, 5);
  const auto corpus = Corpus::Open(path, /*verify_digests=*/true);
  EXPECT_EQ(Words(*corpus, 1),
            (std::vector<std::string>{"[CLS]", "MALE", "MONTH_7", "YEAR_1976", "[SEP]",  //
                                      "[UNK]", "CITY_7", "OCC_25", "IND_3", "[SEP]",     //
                                      "DIAG_A", "TYPE_Urgent_Care", "[SEP]", "CITY_7", "IND_3", "[SEP]"}));
  EXPECT_EQ(report.unknown_token_count, 2);  // two incomes in bins of one person each
  EXPECT_EQ(corpus->manifest().split_person_counts[0], 2);
}

TEST(TableImport, BadRowsAreLeftOutAndSampledWithTheirPlace) {
  const std::string labor = std::string(kLabor) +
                            "1,2020-13-01,7,25,3,1\n1,2020-02-02,7,25,3,much\n9,2020-02-02,7,25,3,1\nx,2020-02-02,7,25,"
                            "3,1\n1,2020-02-02,7\n1,2020-02-02,7,25,3,inf\n";
  TableImportOptions options;
  options.max_bad_row_share = 0.9;
  TableImportReport report;
  const std::vector<RawPerson> persons = ReadTables(Tables(kUsers, labor), options, report);
  EXPECT_EQ(persons[0].events.size() + persons[1].events.size() + persons[2].events.size(), 6u);
  EXPECT_EQ(report.bad_row_count, 6);
  EXPECT_EQ(
      report.bad_row_samples,
      (std::vector<std::string>{
          "synth_labor.csv:5: RECORD_DATE is '2020-13-01', expected YYYY-MM-DD",
          "synth_labor.csv:6: INCOME is 'much', expected a number", "synth_labor.csv:7: USER_ID 9 is not in users.csv",
          "synth_labor.csv:8: USER_ID is 'x', expected a whole number", "synth_labor.csv:9: 3 columns, expected 6",
          "synth_labor.csv:10: INCOME is 'inf', expected a number"}));
}

TEST(TableImport, BadUsersAreBadRows) {
  TableImportOptions options;
  options.max_bad_row_share = 0.9;
  TableImportReport report;
  const std::string users = std::string(kUsers) + "3,3,1979-06-22,Male\n4,4,1979-06,Male\n";
  EXPECT_EQ(ReadTables(Tables(users), options, report).size(), 3u);
  EXPECT_EQ(report.bad_row_samples,
            (std::vector<std::string>{"users.csv:5: USER_ID 3 is there already",
                                      "users.csv:6: BIRTHDAY is '1979-06', expected YYYY-MM-DD"}));
}

TEST(TableImport, TooManyBadRowsStopTheImportAndLeaveNothing) {
  const std::string parent = TemporaryFolder();
  const std::string tables = Tables(kUsers, std::string(kLabor) + "1,,7,25,3,1\n");
  EXPECT_THAT(ValueErrorOf([&] { ImportTables(tables, parent + "/corpus", {}); }),
              HasSubstr("synth_labor.csv: 1 of 4 rows are bad"));
  EXPECT_THAT(ValueErrorOf([&] { ImportTables(tables, parent + "/corpus", {}); }),
              HasSubstr("synth_labor.csv:5: RECORD_DATE is ''"));
  EXPECT_TRUE(std::filesystem::is_empty(parent));
}

TEST(TableImport, CommonSpellingsOfMissingAreMissing) {
  TableImportReport report;
  const std::string labor = std::string(kLabor) + "3,2020-02-01,NA,nan,NULL,N/A\n";
  const std::vector<RawPerson> persons = ReadTables(Tables(kUsers, labor), {}, report);
  EXPECT_EQ(persons[2].events[0].fields, std::vector<std::string>(4));
  EXPECT_EQ(report.bad_row_count, 0);
}

TEST(TableImport, MissingFilesAndColumnsAreNamed) {
  const std::string folder = Tables();
  std::filesystem::remove(folder + "/synth_health.csv");
  EXPECT_THAT(ValueErrorOf([&] { ImportTables(folder, TemporaryFolder() + "/c", {}); }), HasSubstr("synth_health.csv"));
  EXPECT_THAT(ValueErrorOf([&] { ImportTables(Tables("USER_ID,SEX\n1,MALE\n"), TemporaryFolder() + "/c", {}); }),
              HasSubstr("users.csv:1: no column 'BIRTHDAY', found 'USER_ID', 'SEX'"));
  EXPECT_THAT(ValueErrorOf([&] {
                ImportTables(Tables("USER_ID,BIRTHDAY,SEX\n", "USER_ID,RECORD_DATE,CITY,OCCUPATION,INDUSTRY,INCOME\n",
                                    "USER_ID,RECORD_DATE,DIAGNOSIS,PATIENT_TYPE\n"),
                             TemporaryFolder() + "/c", {});
              }),
              HasSubstr("users.csv: no persons"));
}

TEST(TableImport, SplitFileMustNameEveryPersonOnceWithAKnownSplit) {
  const auto import = [](const std::string& split) {
    ImportTables(Tables(), TemporaryFolder() + "/c", WithSplit(split));
  };
  EXPECT_THAT(ValueErrorOf([&] { import("USER_ID,split\n1,train\n2,train\n"); }), HasSubstr("no split for USER_ID 3"));
  EXPECT_THAT(ValueErrorOf([&] { import("USER_ID,split\n1,train\n2,dev\n"); }),
              HasSubstr("split.csv:3: split is 'dev'"));
  EXPECT_THAT(ValueErrorOf([&] { import("USER_ID,split\n1,train\n1,test\n"); }),
              HasSubstr("split.csv:3: USER_ID 1 is there already"));
}

TEST(TableImport, SplitSeedDecidesTheDigest) {
  const auto digest = [](uint64_t seed) {
    TableImportOptions options;
    options.split_seed = seed;
    const std::string path = TemporaryFolder() + "/corpus";
    ImportTables(GoldenPath("life2vec/corpora/edge"), path, options);
    return Corpus::Open(path)->digest();
  };
  EXPECT_EQ(digest(1), digest(1));
  EXPECT_NE(digest(1), digest(2));
}

TEST(TableImport, ProgressReachesItsTotal) {
  std::map<std::string, std::pair<int64_t, int64_t>> last;
  ImportTables(Tables(), TemporaryFolder() + "/corpus", WithSplit("USER_ID,split\n1,train\n2,train\n3,train\n"),
               [&](const std::string& stage, int64_t done, int64_t total) {
                 last[stage] = {done, total};
               });
  EXPECT_EQ(last.size(), 4u);
  for (const auto& [stage, progress] : last) EXPECT_EQ(progress.first, progress.second) << stage;
}

}  // namespace
}  // namespace lifescope
