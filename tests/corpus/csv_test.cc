#include "server/corpus/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/artifact/artifact.h"
#include "tests/corpus/value_error.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

std::string Written(const std::string& text) {
  const std::string path = TemporaryFolder() + "/table.csv";
  WriteFileAtomically(path, text);
  return path;
}

std::vector<CsvReader::Row> Rows(const std::string& text) {
  CsvReader reader(Written(text));
  std::vector<CsvReader::Row> rows;
  CsvReader::Row row;
  while (reader.Next(&row)) rows.push_back(row);
  return rows;
}

using Cells = std::vector<std::string>;

TEST(Csv, QuotesProtectCommasAndQuotes) {
  const auto rows = Rows("a,b,c\n1,\"x, y\",\"say \"\"hi\"\"\"\n\"\",,plain \" quote\n");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].cells, (Cells{"1", "x, y", "say \"hi\""}));
  EXPECT_EQ(rows[1].cells, (Cells{"", "", "plain \" quote"}));
  EXPECT_EQ(rows[0].fault + rows[1].fault, "");
}

TEST(Csv, LineEndsMarkAndEmptyLinesAreNotContent) {
  const auto rows = Rows(
      "\xEF\xBB\xBF"
      "a,b\r\n\r\n1,2\r\n\n3,4");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].cells, (Cells{"1", "2"}));
  EXPECT_EQ(rows[0].line, 3);
  EXPECT_EQ(rows[1].cells, (Cells{"3", "4"}));
  EXPECT_EQ(rows[1].line, 5);
}

TEST(Csv, FaultsAreToldWithTheirLine) {
  const auto rows = Rows("a,b\n1\n1,2,3\n\"x\"y,2\n\"p\nq\",2\n1,2\n");
  ASSERT_EQ(rows.size(), 5u);
  EXPECT_EQ(rows[0].fault, "1 columns, expected 2");
  EXPECT_EQ(rows[1].fault, "3 columns, expected 2");
  EXPECT_EQ(rows[2].fault, "text after a closing quote");
  EXPECT_EQ(rows[3].fault, "a control character in a value");
  EXPECT_EQ(rows[3].line, 5);
  EXPECT_EQ(rows[4].fault, "");
  EXPECT_EQ(rows[4].line, 7);
}

TEST(Csv, AReaderGoesOnFromAPlace) {
  // Long enough for several pieces of the file, with rows that span their borders.
  std::string text = "\xEF\xBB\xBFid,words\r\n";
  for (int i = 0; i < 30000; ++i) text += std::to_string(i) + (i % 3 == 0 ? ",\"two\nlines\"\r\n" : ",a word\n");
  const std::string path = Written(text);
  CsvReader whole(path);
  CsvReader::Row row;
  std::vector<CsvReader::Place> places;
  std::vector<CsvReader::Row> rows;
  for (places.push_back(whole.place()); whole.Next(&row); places.push_back(whole.place())) rows.push_back(row);
  ASSERT_EQ(rows.size(), 30000u);
  EXPECT_EQ(whole.place().offset, static_cast<int64_t>(text.size()));
  CsvReader other(path);
  for (const size_t i : {0, 1, 2, 3, 17000, 29999}) {
    other.Seek(places[i]);
    ASSERT_TRUE(other.Next(&row));
    EXPECT_EQ(row.cells, rows[i].cells);
    EXPECT_EQ(row.line, rows[i].line);
    EXPECT_EQ(row.fault, rows[i].fault);
  }
}

TEST(Csv, DelimiterAndEncodingAreAsked) {
  CsvReader tabs(Written("a\tb,c\n\xC3\xA6\t1,2\n"), {'\t', false});
  CsvReader::Row row;
  ASSERT_TRUE(tabs.Next(&row));
  EXPECT_EQ(row.cells, (Cells{"\xC3\xA6", "1,2"}));
  CsvReader latin1(Written("a\nbl\xE5\n"), {',', true});
  ASSERT_TRUE(latin1.Next(&row));
  EXPECT_EQ(row.cells, Cells{"bl\xC3\xA5"});
}

TEST(Csv, BytesThatAreNoUtf8AreFaults) {
  for (const char* cell : {"\xE5", "\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xF5\x80\x80\x80", "a\x80"}) {
    EXPECT_EQ(Rows(std::string("a\n") + cell + "\n")[0].fault, "a value that is not UTF-8") << cell;
  }
  for (const char* cell : {"\xC3\xA5", "\xE2\x82\xAC", "\xF0\x9F\x92\x8A"}) {
    EXPECT_EQ(Rows(std::string("a\n") + cell + "\n")[0].fault, "") << cell;
  }
}

TEST(Csv, UnusableFilesAreErrors) {
  EXPECT_THAT(ValueErrorOf([&] { CsvReader(Written("")); }), HasSubstr("table.csv: is empty"));
  EXPECT_THAT(ValueErrorOf([&] { CsvReader("/no/table.csv"); }), HasSubstr("/no/table.csv"));
  std::string endless = "a\n";
  endless.append(2 << 20, 'x');
  EXPECT_THAT(ValueErrorOf([&] { Rows(endless); }), HasSubstr("table.csv:2: a value of more"));
  EXPECT_THAT(ValueErrorOf([&] { Rows("a,b\n1,\"2\n3,4\n"); }), HasSubstr("table.csv:2: a quote that is never closed"));
  EXPECT_THAT(ValueErrorOf([&] { CsvReader(Written("a,b\n")).Column("c"); }),
              HasSubstr("no column 'c', found 'a', 'b'"));
}

}  // namespace
}  // namespace lifescope
