#include "server/runtime/compute_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <set>

#include "absl/synchronization/barrier.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace lifescope {
namespace {

ComputePoolOptions Options(int32_t worker_count, int32_t max_queued) {
  ComputePoolOptions options;
  options.worker_count = worker_count;
  options.max_queued = max_queued;
  return options;
}

TEST(ComputePoolTest, FullQueueRefuses) {
  std::atomic<int> ran = 0;
  absl::Notification release;
  {
    ComputePool pool(Options(1, 2));
    const auto task = [&] {
      release.WaitForNotification();
      ++ran;
    };
    EXPECT_TRUE(pool.Submit(task)) << "the one that runs";
    EXPECT_TRUE(pool.Submit(task));
    EXPECT_TRUE(pool.Submit(task));
    EXPECT_FALSE(pool.Submit(task));
    EXPECT_FALSE(pool.Submit(task));
    release.Notify();
  }
  EXPECT_EQ(ran, 3) << "what was accepted ran, what was refused did not";
}

TEST(ComputePoolTest, PoolWithoutQueueRunsWhatItsWorkersCanTake) {
  absl::Notification release;
  ComputePool pool(Options(2, 0));
  EXPECT_TRUE(pool.Submit([&] { release.WaitForNotification(); }));
  EXPECT_TRUE(pool.Submit([&] { release.WaitForNotification(); }));
  EXPECT_FALSE(pool.Submit([] {}));
  release.Notify();
}

TEST(ComputePoolTest, RoomComesBackWhenATaskIsDone) {
  ComputePool pool(Options(1, 0));
  for (int i = 0; i < 100; ++i) {
    absl::Notification done;
    // The worker may still be on its way back from the last task.
    while (!pool.Submit([&] { done.Notify(); })) std::this_thread::yield();
    done.WaitForNotification();
  }
}

TEST(ComputePoolTest, DrainRefusesNewTasksAndFinishesQueuedOnes) {
  std::atomic<int> ran = 0;
  absl::Notification release;
  absl::BlockingCounter done(4);
  ComputePool pool(Options(1, 10));
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(pool.Submit([&] {
      release.WaitForNotification();
      ++ran;
      done.DecrementCount();
    }));
  }
  pool.Drain();
  EXPECT_FALSE(pool.Submit([&] { ran += 100; }));
  release.Notify();
  done.Wait();
  EXPECT_EQ(ran, 4);
  EXPECT_FALSE(pool.Submit([&] { ran += 100; })) << "draining does not end";
}

TEST(ComputePoolTest, DestructorRunsWhatIsQueued) {
  std::atomic<int> ran = 0;
  {
    ComputePool pool(Options(2, 1000));
    for (int i = 0; i < 500; ++i) ASSERT_TRUE(pool.Submit([&] { ++ran; }));
  }
  EXPECT_EQ(ran, 500);
}

TEST(ComputePoolTest, EveryAcceptedTaskRunsExactlyOnceUnderManySubmitters) {
  constexpr int kSubmitters = 8;
  constexpr int kTasks = 500;
  std::vector<std::atomic<int>> runs(kSubmitters * kTasks);
  std::vector<char> accepted(kSubmitters * kTasks, 0);
  {
    ComputePool pool(Options(3, 16));
    std::vector<std::thread> submitters;
    for (int submitter = 0; submitter < kSubmitters; ++submitter) {
      submitters.emplace_back([&, submitter] {
        for (int i = 0; i < kTasks; ++i) {
          const int id = submitter * kTasks + i;
          accepted[id] = pool.Submit([&runs, id] { ++runs[id]; });
        }
      });
    }
    for (std::thread& submitter : submitters) submitter.join();
  }
  for (size_t id = 0; id < runs.size(); ++id) EXPECT_EQ(runs[id], accepted[id]) << id;
  EXPECT_GT(std::count(accepted.begin(), accepted.end(), 1), 0);
}

TEST(ComputePoolTest, TasksOfOneWorkerRunInOrder) {
  std::vector<int> order;  // of the worker alone, until the pool has ended
  {
    ComputePool pool(Options(1, 100));
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(pool.Submit([&order, i] { order.push_back(i); }));
  }
  ASSERT_EQ(order.size(), 100u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(ComputePoolTest, WorkersRunAtTheSameTime) {
  // Each task waits for the others, so that they end only if all run at once.
  auto* barrier = new absl::Barrier(3);
  ComputePool pool(Options(3, 0));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(pool.Submit([barrier] {
      if (barrier->Block()) delete barrier;
    }));
  }
}

TEST(ComputePoolTest, EveryWorkerStartsOnceBeforeItsFirstTask) {
  static thread_local int starts = 0;
  absl::Mutex mutex;
  std::set<std::thread::id> started;
  int calls = 0;
  std::atomic<int> unprepared = 0;
  {
    ComputePoolOptions options = Options(4, 1000);
    options.on_thread_start = [&] {
      ++starts;
      absl::MutexLock lock(&mutex);
      ++calls;
      started.insert(std::this_thread::get_id());
    };
    ComputePool pool(options);
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(pool.Submit([&] {
        if (starts != 1) ++unprepared;
      }));
    }
  }
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(started.size(), 4u);
  EXPECT_EQ(started.count(std::this_thread::get_id()), 0u);
  EXPECT_EQ(unprepared, 0);
}

TEST(ComputePoolTest, CountsTellWhatRunsAndWhatWaits) {
  absl::Notification release;
  absl::BlockingCounter running(2);
  ComputePool pool(Options(2, 10));
  EXPECT_EQ(pool.queued(), 0);
  EXPECT_EQ(pool.running(), 0);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(pool.Submit([&] {
      running.DecrementCount();
      release.WaitForNotification();
    }));
  }
  running.Wait();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(pool.Submit([] {}));
  EXPECT_EQ(pool.running(), 2);
  EXPECT_EQ(pool.queued(), 3);
  release.Notify();
}

TEST(ComputePoolTest, RetryHintIsPositiveAndBounded) {
  absl::Notification release;
  ComputePool pool(Options(1, 50));
  EXPECT_GT(pool.RetryAfterMs(), 0) << "before anything has run";
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(pool.Submit([&] { release.WaitForNotification(); }));
  EXPECT_GT(pool.RetryAfterMs(), 0);
  EXPECT_LE(pool.RetryAfterMs(), 60'000);
  release.Notify();
}

TEST(ComputePoolTest, TaskLetsGoOfWhatItHolds) {
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  {
    ComputePool pool(Options(1, 1));
    ASSERT_TRUE(pool.Submit([held = std::move(held)] {}));
  }
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace lifescope
