#include "tests/storage/store_conformance.h"

#include <cstdlib>

namespace lifescope {

void SkipOrFail(const std::string& reason) {
  const char* required = std::getenv("LIFESCOPE_REQUIRE_POSTGRES");
  if (required != nullptr && std::string(required) == "1") {
    FAIL() << reason << " (and LIFESCOPE_REQUIRE_POSTGRES=1)";
  }
  GTEST_SKIP() << reason;
}

void MigrationConformanceTest::SetUp() {
  std::string reason;
  database_ = GetParam().make(reason);
  if (database_ == nullptr) SkipOrFail(reason);
}

std::unique_ptr<Store> MigrationConformanceTest::Open() {
  absl::StatusOr<std::unique_ptr<Store>> store = OpenStore(database_->url());
  if (store.ok()) return *std::move(store);
  ADD_FAILURE() << store.status();
  return nullptr;
}

void StoreConformanceTest::SetUp() {
  MigrationConformanceTest::SetUp();
  if (database_ == nullptr) return;
  store_ = Open();
  ASSERT_NE(store_, nullptr);
}

std::string BackendName(const testing::TestParamInfo<StoreBackend>& info) { return info.param.name; }

}  // namespace lifescope
