// An import that is killed, really and anywhere, goes on and gives the same corpus.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>

#include "server/artifact/artifact.h"
#include "server/corpus/corpus.h"
#include "server/corpus/table_import.h"
#include "server/corpus/world.h"
#include "server/corpus/world_life.h"
#include "tests/corpus/value_error.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

namespace fs = std::filesystem;

const std::string& Tables() {
  static const std::string folder = [] {
    const std::string path = TemporaryFolder() + "/tables";
    SynthesizeTables(path, {1200, 11, 256});
    return path;
  }();
  return folder;
}

// Memory for about forty runs.
TableImportOptions Options() {
  TableImportOptions options;
  options.description = world::Description();
  options.description_text = "the synthetic world";
  options.memory_bytes = 1 << 18;
  return options;
}

std::map<std::string, std::string> FilesOf(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) files[entry.path().filename()] = ReadFile(entry.path());
  return files;
}

const std::map<std::string, std::string>& Uninterrupted() {
  static const std::map<std::string, std::string> files = [] {
    const std::string path = TemporaryFolder() + "/whole";
    ImportTables(Tables(), path, Options());
    return FilesOf(path);
  }();
  return files;
}

// Runs the import in a process of its own, which kills itself when `stage` has come to `share` of its total. False
// when it was not there before the import ended.
bool KillAt(const std::string& corpus, const std::string& stage, double share) {
  const std::string& tables = Tables();
  const pid_t child = fork();
  if (child == 0) {
    try {
      ImportTables(tables, corpus, Options(), [&](const std::string& now, int64_t done, int64_t total) {
        if (now == stage && static_cast<double>(done) >= share * static_cast<double>(total)) raise(SIGKILL);
      });
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    _exit(0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

int64_t RunCount(const std::string& corpus) {
  int64_t count = 0;
  for (const auto& [name, text] : FilesOf(ImportWorkFolder(corpus))) count += name.rfind("run-", 0) == 0 ? 1 : 0;
  return count;
}

TEST(ImportResume, KilledAnywhereItGivesTheSameBytes) {
  for (const char* stage : {"checking", "reading", "joining", "fitting bins", "fitting tokens", "encoding train",
                            "encoding validation", "encoding test"}) {
    for (const double share : {0.0, 0.6, 1.0}) {
      const std::string corpus = TemporaryFolder() + "/killed";
      ASSERT_TRUE(KillAt(corpus, stage, share)) << stage << " " << share;
      EXPECT_FALSE(fs::exists(corpus));
      ImportTables(Tables(), corpus, Options());
      EXPECT_EQ(FilesOf(corpus), Uninterrupted()) << stage << " " << share;
      EXPECT_EQ(std::distance(fs::directory_iterator(fs::path(corpus).parent_path()), fs::directory_iterator()), 1);
    }
  }
}

TEST(ImportResume, KilledAgainAndAgainItGetsThere) {
  const std::string corpus = TemporaryFolder() + "/killed";
  for (const double share : {0.2, 0.5, 0.8}) ASSERT_TRUE(KillAt(corpus, "reading", share));
  ASSERT_TRUE(KillAt(corpus, "joining", 0.5));
  ASSERT_TRUE(KillAt(corpus, "encoding train", 0.5));
  ImportTables(Tables(), corpus, Options());
  EXPECT_EQ(FilesOf(corpus), Uninterrupted());
}

TEST(ImportResume, NothingIsReadTwice) {
  const std::string corpus = TemporaryFolder() + "/killed";
  ASSERT_TRUE(KillAt(corpus, "reading", 0.7));
  const int64_t runs = RunCount(corpus);
  EXPECT_GT(runs, 5);
  int64_t first = -1;
  ImportTables(Tables(), corpus, Options(), [&](const std::string& stage, int64_t done, int64_t total) {
    if (stage == "reading" && first < 0) first = 100 * done / total;
  });
  EXPECT_GT(first, 60);
  const std::string joined = TemporaryFolder() + "/killed";
  ASSERT_TRUE(KillAt(joined, "fitting bins", 0));
  ImportTables(Tables(), joined, Options(), [&](const std::string& stage, int64_t, int64_t) {
    EXPECT_NE(stage, "reading");
    EXPECT_NE(stage, "joining");
  });
}

TEST(ImportResume, AnotherJobIsRefusedUnlessItStartsOver) {
  const std::string corpus = TemporaryFolder() + "/killed";
  ASSERT_TRUE(KillAt(corpus, "joining", 0.5));
  TableImportOptions other = Options();
  other.encode.max_length = 128;
  other.description_text = "another text";
  EXPECT_THAT(ValueErrorOf([&] { ImportTables(Tables(), corpus, other); }),
              HasSubstr("holds an unfinished import with another description, max_length"));
  const std::string changed = TemporaryFolder() + "/tables";
  fs::copy(Tables(), changed);
  WriteFileAtomically(changed + "/users.csv", ReadFile(changed + "/users.csv") + "9999,9999,1980-01-01,MALE\n");
  EXPECT_THAT(ValueErrorOf([&] { ImportTables(changed, corpus, Options()); }), HasSubstr("with another tables"));
  other = Options();
  other.start_over = true;
  ImportTables(Tables(), corpus, other);
  EXPECT_EQ(FilesOf(corpus), Uninterrupted());
}

TEST(ImportResume, AChangedByteOfTheWorkIsFound) {
  const std::string corpus = TemporaryFolder() + "/killed";
  ASSERT_TRUE(KillAt(corpus, "fitting bins", 0.5));
  const std::string path = ImportWorkFolder(corpus) + "/lives.records";
  std::string lives = ReadFile(path);
  lives[lives.size() / 2] ^= 1;
  WriteFileAtomically(path, lives);
  EXPECT_THAT(ValueErrorOf([&] { ImportTables(Tables(), corpus, Options()); }),
              HasSubstr("lives.records: its bytes have sha256:"));
  TableImportOptions options = Options();
  options.start_over = true;
  ImportTables(Tables(), corpus, options);
  EXPECT_EQ(FilesOf(corpus), Uninterrupted());
}

// No file of this process can grow above a few bytes while it lives.
class FullDisk {
 public:
  FullDisk() : handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit none = {16, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  sighandler_t handler_;
  rlimit before_ = {};
};

TEST(ImportResume, AFullDiskLosesNothing) {
  for (const char* stage : {"reading", "joining", "fitting tokens", "encoding train"}) {
    const std::string corpus = TemporaryFolder() + "/full";
    std::optional<FullDisk> full;
    const std::string error = ValueErrorOf([&] {
      ImportTables(Tables(), corpus, Options(), [&](const std::string& now, int64_t done, int64_t total) {
        if (now == stage && 10 * done >= 6 * total && !full) full.emplace();
      });
    });
    full.reset();
    EXPECT_THAT(error, HasSubstr("cannot be written: File too large")) << stage;
    EXPECT_TRUE(fs::exists(ImportWorkFolder(corpus) + "/state.json")) << stage;
    std::string first;
    ImportTables(Tables(), corpus, Options(), [&](const std::string& now, int64_t done, int64_t total) {
      if (first.empty() && now != "checking") first = now == "reading" ? std::to_string(100 * done / total) : now;
    });
    EXPECT_EQ(FilesOf(corpus), Uninterrupted()) << stage;
    EXPECT_NE(first, "0") << stage;
  }
}

TEST(ImportResume, TwoAtOnceAreRefused) {
  const std::string corpus = TemporaryFolder() + "/both";
  std::string error;
  ImportTables(Tables(), corpus, Options(), [&](const std::string& stage, int64_t, int64_t) {
    if (stage == "joining" && error.empty()) {
      error = ValueErrorOf([&] { ImportTables(Tables(), corpus, Options()); });
    }
  });
  EXPECT_THAT(error, HasSubstr("another import is at work in it"));
  EXPECT_EQ(FilesOf(corpus), Uninterrupted());
}

// From more runs than are merged at once to a single one.
TEST(ImportResume, MemoryDecidesNothing) {
  for (const int64_t bytes : {int64_t{1} << 15, int64_t{64} << 20}) {
    const std::string corpus = TemporaryFolder() + "/other";
    TableImportOptions options = Options();
    options.memory_bytes = bytes;
    ImportTables(Tables(), corpus, options);
    EXPECT_EQ(FilesOf(corpus), Uninterrupted()) << bytes;
  }
}

}  // namespace
}  // namespace lifescope
