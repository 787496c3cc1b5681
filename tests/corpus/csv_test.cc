#include "server/corpus/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(Csv, LinesAreCounted) {
  EXPECT_EQ(CsvReader(Written("a\n1\n2\n")).line_count(), 2);
  EXPECT_EQ(CsvReader(Written("a\n1\n2")).line_count(), 2);
  EXPECT_EQ(CsvReader(Written("a")).line_count(), 0);
}

TEST(Csv, UnusableFilesAreErrors) {
  EXPECT_THAT(ValueErrorOf([&] { CsvReader(Written("")); }), HasSubstr("table.csv: is empty"));
  EXPECT_THAT(ValueErrorOf([&] { CsvReader("/no/table.csv"); }), HasSubstr("/no/table.csv"));
  EXPECT_THAT(ValueErrorOf([&] { Rows("a,b\n1,\"2\n3,4\n"); }), HasSubstr("table.csv:2: a quote that is never closed"));
  EXPECT_THAT(ValueErrorOf([&] { CsvReader(Written("a,b\n")).Column("c"); }),
              HasSubstr("no column 'c', found 'a', 'b'"));
}

}  // namespace
}  // namespace lifescope
