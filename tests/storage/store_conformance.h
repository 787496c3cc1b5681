// The suite that every backend of Store passes, without exceptions and without switches.
//
// To add a backend: implement TestDatabase for it and instantiate the two suites, as sqlite_store_test.cc does.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/migration.h"
#include "storage/store.h"

namespace lifescope {

// An empty database, gone with the object.
class TestDatabase {
 public:
  virtual ~TestDatabase() = default;

  // As given to OpenStore.
  virtual std::string url() const = 0;
  // The backend's own migrations, and its way to apply others.
  virtual std::vector<Migration> KnownMigrations() const = 0;
  virtual absl::StatusOr<SchemaStatus> Migrate(bool apply, const std::vector<Migration>& migrations) = 0;
};

struct StoreBackend {
  std::string name;
  // Null, with a reason, where the backend is not at hand.
  std::function<std::unique_ptr<TestDatabase>(std::string& reason)> make;

  friend void PrintTo(const StoreBackend& backend, std::ostream* out) { *out << backend.name; }
};

// Starts from a database that nobody has opened.
class MigrationConformanceTest : public testing::TestWithParam<StoreBackend> {
 protected:
  void SetUp() override;

  // Opens the database; fails the test and gives null if that fails.
  std::unique_ptr<Store> Open();

  std::unique_ptr<TestDatabase> database_;
};

// Starts with an open store.
class StoreConformanceTest : public MigrationConformanceTest {
 protected:
  void SetUp() override;

  std::unique_ptr<Store> store_;
};

std::string BackendName(const testing::TestParamInfo<StoreBackend>& info);

// Says that PostgreSQL is not at hand: skips the calling test, or fails it where LIFESCOPE_REQUIRE_POSTGRES=1. The
// caller returns.
void SkipOrFail(const std::string& reason);

// Every page of a list, in order; fails the test if a page is longer than asked for or the list does not end.
template <typename T>
std::vector<T> Collect(int32_t page_size, const std::function<absl::StatusOr<Page<T>>(const PageRequest&)>& list) {
  std::vector<T> all;
  PageRequest request;
  request.page_size = page_size;
  for (int pages = 0; pages < 10000; ++pages) {
    absl::StatusOr<Page<T>> page = list(request);
    if (!page.ok()) {
      ADD_FAILURE() << page.status();
      return all;
    }
    EXPECT_LE(page->items.size(), static_cast<size_t>(page_size));
    all.insert(all.end(), page->items.begin(), page->items.end());
    if (page->next_page_token.empty()) return all;
    EXPECT_EQ(page->items.size(), static_cast<size_t>(page_size)) << "only the last page may be short";
    request.page_token = page->next_page_token;
  }
  ADD_FAILURE() << "the list does not end";
  return all;
}

}  // namespace lifescope
