#include "server/corpus/external_sort.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "server/artifact/artifact.h"
#include "server/corpus/random.h"
#include "tests/corpus/value_error.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

// Records of many lengths, with many that share their beginning and some that are equal.
std::vector<std::string> RandomRecords(int64_t count) {
  Random random(3);
  std::vector<std::string> records;
  for (int64_t i = 0; i < count; ++i) {
    std::string record;
    AppendSigned(random.Below(50) - 25, &record);
    record.append(static_cast<size_t>(random.Below(40)), static_cast<char>(random.Below(3) + 'a'));
    records.push_back(std::move(record));
  }
  return records;
}

std::vector<std::string> Merged(const std::string& folder, const std::vector<SortedRun>& runs) {
  SortedRecords sorted(folder, runs, 1 << 16);
  std::vector<std::string> records;
  std::string_view record;
  while (sorted.Next(&record)) records.emplace_back(record);
  return records;
}

TEST(ExternalSort, ManyRunsGiveEveryRecordInOrder) {
  std::vector<std::string> records = RandomRecords(20000);
  const std::string folder = TemporaryFolder() + "/runs";
  RecordSorter sorter(folder, 1 << 12);
  for (const std::string& record : records) sorter.Add(record);
  ASSERT_GT(sorter.runs().size(), 300u);  // more than are merged at once
  const std::vector<SortedRun> runs = sorter.Finish();
  EXPECT_LE(runs.size(), 128u);
  std::sort(records.begin(), records.end());
  EXPECT_EQ(Merged(folder, runs), records);
}

TEST(ExternalSort, ASorterGoesOnFromTheRunsOfAnother) {
  std::vector<std::string> records = RandomRecords(5000);
  const std::string folder = TemporaryFolder();
  std::vector<SortedRun> runs;
  size_t saved = 0;
  {
    RecordSorter first(folder, 1 << 14);
    for (size_t i = 0; i < records.size() / 2; ++i) {
      if (first.Add(records[i])) saved = i + 1;
    }
    runs = first.runs();
  }
  ASSERT_GT(saved, 0u);
  RecordSorter second(folder, 1 << 14, runs);
  for (size_t i = saved; i < records.size(); ++i) second.Add(records[i]);
  runs = second.Finish();
  std::sort(records.begin(), records.end());
  EXPECT_EQ(Merged(folder, runs), records);
}

TEST(ExternalSort, NothingSortsToNothing) {
  RecordSorter sorter(TemporaryFolder() + "/none", 1 << 12);
  EXPECT_TRUE(sorter.Finish().empty());
  EXPECT_THAT(ValueErrorOf([] { RecordSorter tiny("x", 100); }), HasSubstr("memory for sorting is 100 bytes"));
}

TEST(Records, FieldsComeBackAndNumbersKeepTheirOrder) {
  const std::vector<double> doubles = {-1e300, -2.5, -0.0, 1e-300, 2.5, 1e300};
  std::string before;
  for (const double number : doubles) {
    std::string record;
    AppendDouble(number, &record);
    EXPECT_LT(before, record) << number;
    EXPECT_EQ(RecordParser(record).Double(), number);
    before = record;
  }
  std::string record;
  AppendSigned(-7, &record);
  AppendNumber(513, 2, &record);
  AppendTexts({"", "a word"}, &record);
  RecordParser parser(record);
  EXPECT_EQ(parser.Signed(), -7);
  EXPECT_EQ(parser.Number(2), 513u);
  EXPECT_EQ(parser.Texts(), (std::vector<std::string>{"", "a word"}));
  EXPECT_THROW(parser.Number(1), c10::Error);
}

TEST(Records, AFileThatEndsWithinARecordIsRefused) {
  const std::string path = TemporaryFolder() + "/records";
  RecordWriter writer(path);
  writer.Add("one");
  writer.Add(std::string(1000, 'x'));
  const FileDigest digest = writer.Finish();
  EXPECT_EQ(digest.sha256, Sha256OfFile(path));
  EXPECT_EQ(digest.bytes, 1011);
  for (const int64_t bytes : {1010, 7 + 4, 9}) {
    std::filesystem::resize_file(path, static_cast<uintmax_t>(bytes));
    RecordReader reader(path, 16);
    std::string_view record;
    EXPECT_TRUE(reader.Next(&record));
    EXPECT_EQ(record, "one");
    EXPECT_THAT(ValueErrorOf([&] { reader.Next(&record); }), HasSubstr("records: ends within a record"));
  }
}

}  // namespace
}  // namespace lifescope
