#include "server/artifact/artifact.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>
#include <vector>

#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

template <typename Function>
std::string ErrorOf(Function function) {
  try {
    function();
  } catch (const c10::ValueError& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

std::vector<std::string> FilesIn(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

// FIPS 180-4 examples.
TEST(Sha256, MatchesPublishedVectors) {
  EXPECT_EQ(Sha256(""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Sha256(std::string(1000000, 'a')),
            "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, OfAFileIsThatOfItsBytes) {
  const std::string path = TemporaryFolder() + "/file";
  const std::string bytes("a\0b\n", 4);
  WriteFileAtomically(path, bytes);
  EXPECT_EQ(Sha256OfFile(path), Sha256(bytes));
  EXPECT_EQ(ReadFile(path), bytes);
}

TEST(MappedFile, OfAnEmptyFileIsEmpty) {
  const std::string path = TemporaryFolder() + "/empty";
  WriteFileAtomically(path, "");
  EXPECT_EQ(MappedFile::Open(path)->size(), 0u);
  EXPECT_EQ(ReadFile(path), "");
}

TEST(MappedFile, ErrorsNameThePathAndTheReason) {
  const std::string folder = TemporaryFolder();
  EXPECT_THAT(ErrorOf([&] { MappedFile::Open(folder + "/none"); }),
              testing::AllOf(HasSubstr(folder + "/none"), HasSubstr("No such file")));
  EXPECT_THAT(ErrorOf([&] { ReadFile(folder); }), testing::AllOf(HasSubstr(folder), HasSubstr("not a regular file")));
}

TEST(MappedFile, KeepsTheOldBytesWhenThePathIsReplaced) {
  const std::string path = TemporaryFolder() + "/file";
  WriteFileAtomically(path, "old");
  const auto file = MappedFile::Open(path);
  WriteFileAtomically(path, "newer");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file->data()), file->size()), "old");
  EXPECT_EQ(ReadFile(path), "newer");
}

TEST(WriteFileAtomically, LeavesNoOtherFileBehind) {
  const std::string folder = TemporaryFolder();
  WriteFileAtomically(folder + "/file", "1");
  WriteFileAtomically(folder + "/file", "2");
  EXPECT_THAT(FilesIn(folder), testing::ElementsAre("file"));
}

TEST(RemoveTemporaries, TakesThoseOfThePathAlone) {
  const std::string folder = TemporaryFolder();
  for (const char* name :
       {"/file", "/file.tmp-12-0", "/file.tmp-12-1", "/file.tmp", "/file2.tmp-12-0", "/x.file.tmp-1-0"}) {
    WriteFileAtomically(folder + name, "x");
  }
  RemoveTemporaries(folder + "/file");
  RemoveTemporaries(folder + "/none/file");
  EXPECT_THAT(FilesIn(folder), testing::UnorderedElementsAre("file", "file.tmp", "file2.tmp-12-0", "x.file.tmp-1-0"));
}

TEST(WriteFileAtomically, NamesAPathThatCannotBeWrittenAndLeavesNothing) {
  const std::string folder = TemporaryFolder();
  EXPECT_THAT(ErrorOf([&] { WriteFileAtomically(folder + "/none/file", "x"); }), HasSubstr(folder + "/none/file"));
  // A folder cannot be replaced by a file: the rename fails after the temporary file was written.
  std::filesystem::create_directory(folder + "/taken");
  WriteFileAtomically(folder + "/taken/inside", "x");
  EXPECT_THAT(ErrorOf([&] { WriteFileAtomically(folder + "/taken", "x"); }), HasSubstr(folder + "/taken"));
  EXPECT_THAT(FilesIn(folder), testing::ElementsAre("taken"));
}

TEST(WriteFileAtomically, ReadersSeeOneWriteOrTheOther) {
  const std::string path = TemporaryFolder() + "/file";
  const std::string a(100000, 'a'), b(200000, 'b');
  WriteFileAtomically(path, a);
  std::thread writer([&] {
    for (int i = 0; i < 40; ++i) WriteFileAtomically(path, i % 2 == 0 ? b : a);
  });
  for (int i = 0; i < 40; ++i) {
    const std::string seen = ReadFile(path);
    EXPECT_TRUE(seen == a || seen == b) << "read " << seen.size() << " bytes";
  }
  writer.join();
}

TEST(WriteFolderAtomically, MakesTheWholeFolderOrNothing) {
  const std::string home = TemporaryFolder();
  const auto write = [](const std::string& partial) { WriteFileAtomically(partial + "/file", "1"); };
  WriteFolderAtomically(home + "/kind/name", write);
  EXPECT_EQ(ReadFile(home + "/kind/name/file"), "1");
  EXPECT_THAT(FilesIn(home + "/kind"), testing::ElementsAre("name"));
  EXPECT_THROW(WriteFolderAtomically(home + "/kind/other",
                                     [&](const std::string& partial) {
                                       write(partial);
                                       throw std::runtime_error("stopped");
                                     }),
               std::runtime_error);
  EXPECT_THAT(FilesIn(home + "/kind"), testing::ElementsAre("name"));
}

TEST(WriteFolderAtomically, ASlashAtTheEndChangesNothing) {
  EXPECT_EQ(HiddenBeside("corpora/world", ".partial"), "corpora/.world.partial");
  EXPECT_EQ(HiddenBeside("corpora/world/", ".partial"), "corpora/.world.partial");
  EXPECT_EQ(HiddenBeside("world//", ".partial"), ".world.partial");
  const std::string home = TemporaryFolder();
  WriteFolderAtomically(home + "/name/",
                        [](const std::string& partial) { WriteFileAtomically(partial + "/new", "1"); });
  EXPECT_THAT(FilesIn(home), testing::ElementsAre("name"));
  EXPECT_THAT(FilesIn(home + "/name"), testing::ElementsAre("new"));
}

TEST(PartialFolder, HasOneWriter) {
  const std::string home = TemporaryFolder();
  {
    PartialFolder first(home + "/name");
    WriteFileAtomically(first.path() + "/file", "1");
    EXPECT_THAT(ErrorOf([&] { PartialFolder second(home + "/name/"); }),
                HasSubstr("name/: another process is writing it"));
    first.Publish();
  }
  EXPECT_THAT(FilesIn(home), testing::ElementsAre("name"));
  EXPECT_EQ(ReadFile(home + "/name/file"), "1");
}

TEST(WriteFolderAtomically, IgnoresWhatAKilledWriterLeftAndOverwritesNothing) {
  const std::string home = TemporaryFolder();
  std::filesystem::create_directories(home + "/.name.partial");
  WriteFileAtomically(home + "/.name.partial/old", "x");
  WriteFolderAtomically(home + "/name", [](const std::string& partial) { WriteFileAtomically(partial + "/new", "1"); });
  EXPECT_THAT(FilesIn(home + "/name"), testing::ElementsAre("new"));
  EXPECT_THAT(ErrorOf([&] { WriteFolderAtomically(home + "/name", [](const std::string&) {}); }), HasSubstr("exists"));
}

}  // namespace
}  // namespace lifescope
