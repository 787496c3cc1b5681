// Crashes the PostgreSQL server under a store at work. Has a cluster of its own (CMakeLists.txt), so that no other test
// loses its server.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "tests/storage/postgres_database.h"
#include "tests/storage/sample_records.h"

namespace lifescope {
namespace {

// Creates runs, one after the other, on one store; knows which were acknowledged.
class Writers {
 public:
  Writers(Store& store, int count) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, &store] {
        while (!stop_) Write(store);
      });
    }
  }
  ~Writers() { Stop(); }

  void Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  // Blocks until `count` more runs have been acknowledged.
  void AwaitAcknowledged(size_t count) {
    absl::MutexLock lock(&mutex_);
    const size_t enough = acknowledged_.size() + count;
    while (acknowledged_.size() < enough) changed_.Wait(&mutex_);
  }

  std::vector<int> acknowledged() {
    absl::MutexLock lock(&mutex_);
    return acknowledged_;
  }
  size_t failed() const { return failed_; }

 private:
  void Write(Store& store) {
    const int number = next_++;
    const absl::Status status = store.CreateRun(SampleRun(number));
    if (status.ok()) {
      absl::MutexLock lock(&mutex_);
      acknowledged_.push_back(number);
      changed_.SignalAll();
    } else {
      ++failed_;
      EXPECT_TRUE(absl::IsUnavailable(status) || absl::IsUnknown(status)) << status;
      std::this_thread::yield();
    }
  }

  std::atomic<bool> stop_ = false;
  std::atomic<int> next_ = 0;
  std::atomic<size_t> failed_ = 0;
  absl::Mutex mutex_;
  absl::CondVar changed_;
  std::vector<int> acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

TEST(ServerCrashTest, AcknowledgedRunsSurviveAServerCrashAndTheStoreReconnects) {
  if (std::getenv("LIFESCOPE_TEST_POSTGRES_DIR") == nullptr) {
    SkipOrFail("LIFESCOPE_TEST_POSTGRES_DIR is not set: run under tests/postgres/with_postgres.sh");
    return;
  }
  std::string reason;
  const std::unique_ptr<TestDatabase> database = MakePostgresDatabase(reason);
  ASSERT_NE(database, nullptr) << reason;
  const std::unique_ptr<Store> store = *OpenStore(database->url());
  const std::string crash = absl::StrCat(std::getenv("LIFESCOPE_SOURCE_DIR"), "/tests/postgres/crash_and_restart.sh");

  Writers writers(*store, 3);
  for (int round = 0; round < 3; ++round) {
    writers.AwaitAcknowledged(20);
    ASSERT_EQ(std::system(crash.c_str()), 0);
  }
  writers.AwaitAcknowledged(20);  // the same store, after the restart
  writers.Stop();

  const std::vector<int> acknowledged = writers.acknowledged();
  for (const int number : acknowledged) {
    const absl::StatusOr<RunRecord> run = store->GetRun(SampleRun(number).run_id);
    ASSERT_EQ(run.status(), absl::OkStatus()) << "an acknowledged run is lost";
    EXPECT_EQ(*run, SampleRun(number));
  }
  RecordProperty("acknowledged", static_cast<int>(acknowledged.size()));
  RecordProperty("failed", static_cast<int>(writers.failed()));
}

}  // namespace
}  // namespace lifescope
