// Opening stores, and the small formats below them.
#include <gmock/gmock.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "storage/int64_list.h"
#include "storage/migration.h"
#include "storage/page_token.h"
#include "storage/store.h"
#include "tests/storage/sample_records.h"
#include "tests/storage/temporary_folder.h"

namespace lifescope {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(OpenStoreTest, OtherUrlsAreInvalidArgument) {
  for (const char* url : {"", "store.sqlite", "mysql://user:secret@host/db", "sqlite:", "host=/tmp"}) {
    for (const absl::Status& status : {OpenStore(url).status(), MigrateStore(url, false).status()}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << url;
      EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
    }
  }
  StoreOptions no_pool;
  no_pool.pool_size = 0;
  EXPECT_EQ(OpenStore("sqlite::memory:", no_pool).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(OpenStoreTest, FileThatCannotBeMadeIsUnavailable) {
  const absl::Status status = OpenStore("sqlite:/no/such/folder/store.sqlite").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/no/such/folder/store.sqlite"));
}

TEST(OpenStoreTest, FileThatIsNoDatabaseIsDataLossAndUntouched) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "letter.txt").string();
  const std::string text(5000, 'x');
  std::ofstream(path) << text;
  EXPECT_EQ(OpenStore("sqlite:" + path).status().code(), absl::StatusCode::kDataLoss);
  std::ifstream file(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), text);
}

TEST(OpenStoreTest, AskingForTheSchemaOfAMissingFileMakesNoFile) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "store.sqlite").string();
  ASSERT_EQ(MigrateStore("sqlite:" + path, /*apply=*/false).status(), absl::OkStatus());
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(OpenStoreTest, StoreInMemoryIsItsOwn) {
  const std::unique_ptr<Store> first = *OpenStore("sqlite::memory:");
  const std::unique_ptr<Store> second = *OpenStore("sqlite::memory:");
  ASSERT_EQ(first->CreateRun(SampleRun(1)), absl::OkStatus());
  EXPECT_EQ(*first->GetRun(SampleRun(1).run_id), SampleRun(1));
  EXPECT_EQ(second->GetRun(SampleRun(1).run_id).status().code(), absl::StatusCode::kNotFound);
}

TEST(PageTokenTest, TokenGivesItsKeyToItsListOnly) {
  const std::string token = EncodePageToken("runs/kind=2", 41);
  EXPECT_EQ(*DecodePageToken("runs/kind=2", token), 41);
  EXPECT_EQ(*DecodePageToken("runs/kind=2", ""), kListStart);
  const absl::Status other = DecodePageToken("runs/kind=3", token).status();
  EXPECT_EQ(other.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(other.message()), HasSubstr("runs/kind=2"));
}

TEST(PageTokenTest, GarbageIsShownReadably) {
  for (const std::string& token :
       {std::string("%%%"), std::string("\0\xff", 2), std::string(100000, 'A'), EncodePageToken("runs/kind=2", -5)}) {
    const absl::Status status = DecodePageToken("runs/kind=2", token).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("next_page_token"));
    EXPECT_LT(status.message().size(), 512u);
  }
}

TEST(Int64ListTest, TextRoundTrips) {
  for (const std::vector<int64_t>& values : std::vector<std::vector<int64_t>>{{}, {0}, {1, -2, INT64_MAX, INT64_MIN}}) {
    EXPECT_EQ(*ParseInt64List(FormatInt64List(values, '[', ']'), '[', ']'), values);
  }
  EXPECT_EQ(FormatInt64List({1, 2}, '{', '}'), "{1,2}");
  for (const char* text : {"", "[", "1,2", "[1,]", "[a]", "[99999999999999999999]", "{1}"}) {
    EXPECT_EQ(ParseInt64List(text, '[', ']').status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

TEST(PendingMigrationsTest, PendingAreThoseAfterTheApplied) {
  const std::vector<Migration> known = {{1, "0001_a", "", "aa"}, {2, "0002_b", "", "bb"}, {3, "0003_c", "", "cc"}};
  const absl::StatusOr<std::vector<Migration>> pending = PendingMigrations(known, {{1, "0001_a", "aa"}});
  ASSERT_EQ(pending.status(), absl::OkStatus());
  ASSERT_EQ(pending->size(), 2u);
  EXPECT_EQ((*pending)[0].name, "0002_b");
  const std::vector<std::vector<AppliedMigration>> refused = {
      {{2, "0002_b", "bb"}},
      {{1, "0001_a", "aa"}, {3, "0003_c", "cc"}},
      {{1, "0001_z", "aa"}},
      {{1, "0001_a", "zz"}},
      {{1, "0001_a", "aa"}, {2, "0002_b", "bb"}, {3, "0003_c", "cc"}, {4, "0004_d", "dd"}},
  };
  for (const std::vector<AppliedMigration>& applied : refused) {
    EXPECT_EQ(PendingMigrations(known, applied).status().code(), absl::StatusCode::kFailedPrecondition);
  }
}

}  // namespace
}  // namespace lifescope
