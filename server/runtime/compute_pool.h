// A fixed set of threads that do all compute, with a bounded queue in front. Knows nothing of LibTorch.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace lifescope {

struct ComputePoolOptions {
  int32_t worker_count = 1;
  // Calls that may wait while every worker is busy; one more is refused.
  int32_t max_queued = 64;
  // Called once in every worker thread before its first task (LibTorch's thread count is per thread).
  std::function<void()> on_thread_start;
};

// Thread-safe.
class ComputePool {
 public:
  explicit ComputePool(ComputePoolOptions options);
  // Runs what is queued, then stops.
  ~ComputePool();

  // Queues a task. False when the queue is full or the pool drains: the task will not run. Tasks must not throw.
  bool Submit(std::function<void()> task);
  // Refuses new tasks from now on; queued ones still run.
  void Drain();
  int32_t queued() const;
  int32_t running() const;
  // A guess, from recent tasks, of the milliseconds until a refused caller may try again.
  int32_t RetryAfterMs() const;

 private:
  void Work();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || !queue_.empty(); }

  // Constant after construction.
  const ComputePoolOptions options_;
  std::vector<std::thread> threads_;

  mutable absl::Mutex mutex_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  int32_t running_ ABSL_GUARDED_BY(mutex_) = 0;
  double mean_task_ms_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace lifescope
