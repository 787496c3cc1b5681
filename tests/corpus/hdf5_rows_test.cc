#include "server/corpus/hdf5_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "server/artifact/artifact.h"
#include "tests/corpus/value_error.h"
#include "tests/corpus/written_hdf5.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

std::vector<std::string> ReadAll(const std::string& path) {
  Hdf5Rows rows(path, "data");
  std::vector<std::string> read;
  for (std::string_view row; rows.Next(&row);) read.emplace_back(row);
  EXPECT_EQ(rows.size(), static_cast<int64_t>(read.size()));
  return read;
}

std::string OpenError(const std::string& path) {
  return ValueErrorOf([&] { ReadAll(path); });
}

TEST(Hdf5Rows, RowsComeBackWithoutTheirPadding) {
  const std::string path = TemporaryFolder() + "/rows.hdf5";
  const std::vector<std::string> rows = {"one", "", "twenty-two", "\xC3\xA6", "five"};
  WriteHdf5Rows(path, rows);
  EXPECT_EQ(ReadAll(path), rows);
}

TEST(Hdf5Rows, AFileLargerThanOneReadIsReadInPieces) {
  const std::string path = TemporaryFolder() + "/rows.hdf5";
  std::vector<std::string> rows;
  for (int i = 0; i < 7; ++i) rows.emplace_back(3 << 20, static_cast<char>('a' + i));
  WriteHdf5Rows(path, rows, "data", 3);
  EXPECT_EQ(ReadAll(path), rows);
}

TEST(Hdf5Rows, FilesThatAreNotWhatIsExpectedAreNamedWithTheReason) {
  const std::string path = TemporaryFolder() + "/bad.hdf5";
  EXPECT_THAT(OpenError("/no/such.hdf5"), HasSubstr("/no/such.hdf5: cannot be opened"));
  WriteFileAtomically(path, "this is text");
  EXPECT_THAT(OpenError(path), HasSubstr("bad.hdf5: cannot be opened: file signature not found"));
  WriteHdf5Rows(path, {"{}"}, "documents");
  EXPECT_THAT(OpenError(path), HasSubstr("bad.hdf5: data: no such dataset"));
  WriteHdf5Numbers(path);
  EXPECT_THAT(OpenError(path), HasSubstr("bad.hdf5: data: expected strings of fixed length"));
  WriteHdf5VariableStrings(path);
  EXPECT_THAT(OpenError(path), HasSubstr("bad.hdf5: data: expected strings of fixed length"));
  WriteHdf5Matrix(path);
  EXPECT_THAT(OpenError(path), HasSubstr("bad.hdf5: data: 2 dimensions, expected 1"));
}

TEST(Hdf5Rows, RowsThatWereNeverWrittenAreRefused) {
  const std::string path = TemporaryFolder() + "/promise.hdf5";
  WriteHdf5Promise(path, 1'000'000'000'000);
  EXPECT_THAT(OpenError(path), HasSubstr("data: 0 bytes are in the file, expected 1000000000000 rows of 100"));
}

TEST(Hdf5Rows, RowsInOnePieceAreRead) {
  const std::string path = TemporaryFolder() + "/piece.hdf5";
  WriteHdf5Piece(path);
  EXPECT_EQ(ReadAll(path), (std::vector<std::string>{"aa", "bb", "cc"}));
}

TEST(Hdf5Rows, OtherFilesAreNeverRead) {
  const std::string folder = TemporaryFolder();
  WriteHdf5Rows(folder + "/target.hdf5", {"secret"});
  WriteHdf5Link(folder + "/link.hdf5", folder + "/target.hdf5");
  EXPECT_THAT(OpenError(folder + "/link.hdf5"), HasSubstr("is a link elsewhere"));
}

TEST(Hdf5Rows, ATruncatedFileIsAnErrorAtEveryLength) {
  const std::string folder = TemporaryFolder(), path = folder + "/whole.hdf5";
  std::vector<std::string> rows;
  for (int i = 0; i < 40; ++i) rows.push_back("row " + std::to_string(i * i * i));
  WriteHdf5Rows(path, rows);
  const std::string whole = ReadFile(path);
  for (size_t length = 0; length < whole.size(); length += 97) {
    WriteFileAtomically(folder + "/cut.hdf5", whole.substr(0, length));
    EXPECT_NE(OpenError(folder + "/cut.hdf5"), "no error") << length;
  }
}

TEST(Hdf5Rows, TheLibraryPrintsNothing) {
  testing::internal::CaptureStderr();
  OpenError("/no/such.hdf5");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace lifescope
