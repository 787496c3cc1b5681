#include "server/artifact/output_file.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "server/artifact/artifact.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

TEST(OutputFile, ManyPiecesAreTheWholeAndItsDigest) {
  const std::string path = TemporaryFolder() + "/file";
  std::string whole;
  OutputFile file(path);
  for (int i = 0; i < 100000; ++i) {
    const std::string piece = std::to_string(i) + "\n";
    whole += piece;
    file.Append(piece);
  }
  const FileDigest digest = file.Finish();
  EXPECT_EQ(ReadFile(path), whole);
  EXPECT_EQ(digest, (FileDigest{static_cast<int64_t>(whole.size()), Sha256(whole)}));
  EXPECT_EQ(Sha256OfFile(path), Sha256(whole));
}

TEST(OutputFile, AnEmptyFileHasTheDigestOfNothing) {
  const std::string path = TemporaryFolder() + "/file";
  EXPECT_EQ(OutputFile(path).Finish(), (FileDigest{0, Sha256("")}));
  EXPECT_EQ(std::filesystem::file_size(path), 0u);
}

TEST(OutputFile, WhatIsThereIsNotReplaced) {
  const std::string path = TemporaryFolder() + "/file";
  WriteFileAtomically(path, "old");
  EXPECT_THROW(OutputFile{path}, c10::ValueError);
  EXPECT_EQ(ReadFile(path), "old");
}

TEST(MoveFolder, PutsAFolderInPlaceOnce) {
  const std::string parent = TemporaryFolder(), target = parent + "/corpus";
  const std::string hidden = HiddenBeside(target, ".partial");
  EXPECT_EQ(hidden, parent + "/.corpus.partial");
  std::filesystem::create_directory(hidden);
  WriteFileAtomically(hidden + "/file", "text");
  MoveFolder(hidden, target);
  EXPECT_EQ(ReadFile(target + "/file"), "text");
  std::filesystem::create_directory(hidden);
  EXPECT_THROW(MoveFolder(hidden, target), c10::ValueError);
  EXPECT_EQ(ReadFile(target + "/file"), "text");
}

TEST(MappedFile, ReleasedPagesComeBack) {
  const std::string path = TemporaryFolder() + "/file";
  WriteFileAtomically(path, std::string(100000, 'x'));
  const auto file = MappedFile::Open(path);
  EXPECT_EQ(file->data()[70000], 'x');
  file->ReleasePages();
  EXPECT_EQ(file->data()[70000], 'x');
}

}  // namespace
}  // namespace lifescope
