#include "server/corpus/table_import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "server/artifact/artifact.h"
#include "server/corpus/corpus.h"
#include "tests/corpus/value_error.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

constexpr char kUsers[] = ",USER_ID,BIRTHDAY,SEX\n0,1,1980-10-01,Female\n1,2,1976-07-06,MALE\n2,3,1979-06-22,Male\n";
constexpr char kLabor[] =
    "USER_ID,RECORD_DATE,CITY,OCCUPATION,INDUSTRY,INCOME\n"
    "1,2020-02-01,7,25,3,13449.11\n2,2020-03-01,7,25,3,20000\n2,2021-03-01,7,,3,\n";
constexpr char kAllTrain[] = "USER_ID,split\n1,train\n2,train\n3,train\n";
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
  const std::string path = TemporaryFolder() + "/split.csv";
  WriteFileAtomically(path, text);
  options.description.split.table = TableSource{{path}, {}, "USER_ID", {}};
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
  EXPECT_EQ(report.rows().row_count, 12);
  EXPECT_EQ(report.rows().bad_row_count, 0);
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
                            "3,1\n1,2020-02-02,7\n1,2020-02-02,7,25,3,inf\n1,2020-02-02,7,\xE5,3,1\n";
  TableImportOptions options = WithSplit(kAllTrain);
  options.max_bad_row_share = 0.9;
  const std::string path = TemporaryFolder() + "/corpus";
  const TableImportReport report = ImportTables(Tables(kUsers, labor), path, options);
  EXPECT_EQ(report.event_count, 5);
  EXPECT_EQ(report.rows().bad_row_count, 7);
  EXPECT_EQ(report.rows().bad_row_samples,
            (std::vector<std::string>{
                "synth_labor.csv:5: RECORD_DATE is '2020-13-01', expected YYYY-MM-DD",
                "synth_labor.csv:6: INCOME is 'much', expected a number",
                "synth_labor.csv:8: USER_ID is 'x', expected a whole number",
                "synth_labor.csv:9: 3 columns, expected 6", "synth_labor.csv:10: INCOME is 'inf', expected a number",
                "synth_labor.csv:11: a value that is not UTF-8", "synth_labor.csv:7: USER_ID 9 is not in users.csv"}));
  const std::string made = ReadFile(path + "/import.json");
  EXPECT_THAT(made, HasSubstr("synth_labor.csv:7: USER_ID 9 is not in users.csv"));
}

TEST(TableImport, BadUsersAreBadRows) {
  TableImportOptions options = WithSplit(std::string(kAllTrain) + "4,train\n");
  options.max_bad_row_share = 0.9;
  const std::string users = std::string(kUsers) + "3,3,1979-06-22,Male\n4,4,1979-06,Male\n";
  const TableImportReport report = ImportTables(Tables(users), TemporaryFolder() + "/corpus", options);
  EXPECT_EQ(report.person_count + report.eventless_person_count, 3);
  EXPECT_EQ(report.rows().bad_row_samples,
            (std::vector<std::string>{"users.csv:6: BIRTHDAY is '1979-06', expected YYYY-MM-DD",
                                      "users.csv:5: USER_ID 3 is there already"}));
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
  const std::string labor = std::string(kLabor) + "3,2020-02-01,NA,nan,NULL,N/A\n3,2020-02-02,7,<NA>,,NaN\n";
  const std::string path = TemporaryFolder() + "/corpus";
  EXPECT_EQ(ImportTables(Tables(kUsers, labor), path, WithSplit(kAllTrain)).rows().bad_row_count, 0);
  const auto corpus = Corpus::Open(path);
  EXPECT_EQ(Words(*corpus, corpus->Find(3).value()),
            (std::vector<std::string>{"[CLS]", "MALE", "MONTH_6", "YEAR_1979", "[SEP]", "CITY_7", "[SEP]"}));
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
  EXPECT_THAT(ValueErrorOf([&] {
                ImportTables(Tables(), TemporaryFolder() + "/c", WithSplit("USER_ID,split\n1,test\n2,test\n3,test\n"));
              }),
              HasSubstr("none of 3 persons is for training"));
}

TEST(TableImport, AFileIsReadOnce) {
  TableImportOptions options;
  options.description.tables[0].source.files = {"synth_labor.csv", "*_labor.csv"};
  EXPECT_THAT(ValueErrorOf([&] { ImportTables(Tables(), TemporaryFolder() + "/c", options); }),
              HasSubstr("synth_labor.csv: is 'synth_labor.csv' and '*_labor.csv' of the files of table labor"));
}

TEST(TableImport, SplitFileMustNameEveryPersonOnceWithAKnownSplit) {
  const auto import = [](const std::string& split) {
    ImportTables(Tables(), TemporaryFolder() + "/c", WithSplit(split));
  };
  EXPECT_THAT(ValueErrorOf([&] { import("USER_ID,split\n1,train\n2,train\n"); }), HasSubstr("no split for USER_ID 3"));
  EXPECT_THAT(ValueErrorOf([&] { import("USER_ID,split\n1,train\n2,dev\n"); }),
              HasSubstr("split.csv:3: split is 'dev'"));
  EXPECT_THAT(ValueErrorOf([&] { import("USER_ID,split\n1,train\n1,test\n2,train\n3,train\n"); }),
              HasSubstr("split.csv:3: USER_ID 1 is there already"));
}

TEST(TableImport, SplitSeedDecidesTheDigest) {
  const auto digest = [](uint64_t seed) {
    TableImportOptions options;
    options.description.split.seed = seed;
    const std::string path = TemporaryFolder() + "/corpus";
    ImportTables(GoldenPath("life2vec/corpora/edge"), path, options);
    return Corpus::Open(path)->digest();
  };
  EXPECT_EQ(digest(1), digest(1));
  EXPECT_NE(digest(1), digest(2));
}

TEST(TableImport, ProgressReachesItsTotal) {
  std::map<std::string, std::pair<int64_t, int64_t>> last;
  ImportTables(Tables(), TemporaryFolder() + "/corpus", WithSplit(kAllTrain),
               [&](const std::string& stage, int64_t done, int64_t total) {
                 last[stage] = {done, total};
               });
  EXPECT_EQ(last.size(), 8u);
  for (const auto& [stage, progress] : last) EXPECT_EQ(progress.first, progress.second) << stage;
}

// Registers as the original repository reads them: files by year with another date format each, persons among the
// events, codes to cut and to replace, people who do not belong.
TEST(TableImport, ADescriptionSaysWhatTheTablesAre) {
  const std::string folder = TemporaryFolder();
  WriteFileAtomically(folder + "/work2008.tsv",
                      "ID\tFROM\tBORN\tSEX\tLAND\tAGE\tJOB\tIN\n"
                      "1\t17533\t-5115\t1\t5100\t62\t12345\t1\n"  // 2008-01-02, born 1945-12-30: left out
                      "2\t17533\t-2000\t2\t5100\t52\t12349\t1\n"  // born 1954-07-11
                      "3\t17534\t0\t1\tDE\t48\t99999\t1\n"
                      "4\t17534\t0\t1\tDE\t48\t99999\t1\n"
                      "9\t17534\t0\t9\tDE\t48\t99999\t0\n");  // not kept
  WriteFileAtomically(folder + "/work2009.tsv",
                      "ID\tFROM\tBORN\tSEX\tLAND\tAGE\tJOB\tIN\n"
                      "2\t03/02/2009\t11/07/1954\t2\tDE\t\t\t1\n"
                      "3\t03/02/2009\t01/01/1960\t1\tDE\t49\t12340\t1\n"
                      "4\t03/02/2009\t02/01/1960\t1\tDE\t49\t12340\t1\n");  // another birthday
  WriteFileAtomically(folder + "/health.csv",
                      "ID,WHEN,WHAT\n2,03FEB2009:08:30:00,DS72\n2,02Feb2009:23:59:59,DS71\n2,01JAN2007:00:00:00,DX\n"
                      "77,01JAN2009:00:00:00,DS72\n3,02FEB2009:00:00:00,\n");
  const auto code = [](const std::string& column, const std::string& prefix, int32_t skip, int32_t most) {
    EventField field;
    field.value.column = field.category = column;
    field.value.prefix = prefix;
    field.value.skip_characters = skip;
    field.value.max_characters = most;
    return field;
  };
  const TableSource work = {{"work*.tsv"}, {'\t', true}, "ID", {{"SEX", {}, {"9"}}, {"IN", {"1"}, {}}}};
  const std::vector<std::string> formats = {"%d/%m/%Y", "days since 1960-01-01"};
  BackgroundToken origin, sex;
  origin.value.column = "LAND";
  origin.value.replacements = {{"5100", "DK"}};
  origin.value.otherwise = "NON_DK";
  sex.value.column = "SEX";
  sex.value.replacements = {{"1", "M"}, {"2", "F"}};
  TableImportOptions options;
  TableDescription& description = options.description;
  description = {};
  description.persons = {work, "BORN", formats, {origin, sex}, true, ""};
  description.tables = {{"health",
                         {{"health.csv"}, {}, "ID", {{"WHAT", {}, {""}}}},
                         "WHEN",
                         {"%d%b%Y:%T"},
                         Date{2008, 1, 1},
                         "",
                         {code("WHAT", "", 1, 3)}},
                        {"work", work, "FROM", formats, {}, "AGE", {code("JOB", "POS", 0, 4)}}};
  description.background_tokens = {"F", "M", "DK", "NON_DK"};
  description.reference_date = {2008, 1, 1};
  description.min_persons = 1;
  description.born_after = Date{1946, 1, 1};
  description.required_events = RequiredEvents{"work", {2009, 1, 1}, {2009, 12, 31}, 1};
  description.skip_unknown_persons = true;
  description.split.train_share = 1;
  description.split.validation_share = 0;

  const std::string path = TemporaryFolder() + "/corpus";
  const TableImportReport report = ImportTables(folder, path, options);
  EXPECT_EQ(report.rows().bad_row_samples, std::vector<std::string>{});
  EXPECT_EQ(report.left_out_person_count, 2);
  const auto corpus = Corpus::Open(path);
  ASSERT_EQ(corpus->size(), 2);
  const Document document = corpus->DocumentAt(0);
  EXPECT_EQ(document.person_id, 2);
  EXPECT_EQ(Words(*corpus, 0), (std::vector<std::string>{"[CLS]", "DK", "F", "[SEP]", "POS_1234", "[SEP]", "S71",
                                                         "[SEP]", "S72", "[SEP]"}));
  EXPECT_EQ(document.abspos[4], 2);    // 2008-01-02
  EXPECT_EQ(document.abspos[6], 399);  // 2009-02-02
  EXPECT_EQ(document.age[4], 52);
  EXPECT_EQ(document.age[6], 55);
  EXPECT_EQ(Words(*corpus, 1),
            (std::vector<std::string>{"[CLS]", "NON_DK", "M", "[SEP]", "POS_9999", "[SEP]", "POS_1234", "[SEP]"}));
}

}  // namespace
}  // namespace lifescope
