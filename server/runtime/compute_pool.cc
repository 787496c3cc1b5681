#include "server/runtime/compute_pool.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace lifescope {
namespace {

// How much one task changes the running mean.
constexpr double kMeanWeight = 0.2;
constexpr double kMinRetryMs = 10;
constexpr double kMaxRetryMs = 60'000;

ComputePoolOptions Sane(ComputePoolOptions options) {
  options.worker_count = std::max(options.worker_count, 1);
  options.max_queued = std::max(options.max_queued, 0);
  return options;
}

}  // namespace

ComputePool::ComputePool(ComputePoolOptions options) : options_(Sane(std::move(options))) {
  threads_.reserve(static_cast<size_t>(options_.worker_count));
  for (int32_t i = 0; i < options_.worker_count; ++i) threads_.emplace_back([this] { Work(); });
}

ComputePool::~ComputePool() {
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

bool ComputePool::Submit(std::function<void()> task) {
  absl::MutexLock lock(&mutex_);
  if (draining_) return false;
  // A task that an idle worker is about to take does not wait.
  const int64_t accepted = static_cast<int64_t>(queue_.size()) + running_;
  if (accepted >= int64_t{options_.worker_count} + options_.max_queued) return false;
  queue_.push_back(std::move(task));
  return true;
}

void ComputePool::Drain() {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
}

int32_t ComputePool::queued() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int32_t>(queue_.size());
}

int32_t ComputePool::running() const {
  absl::MutexLock lock(&mutex_);
  return running_;
}

int32_t ComputePool::RetryAfterMs() const {
  absl::MutexLock lock(&mutex_);
  // Until half of what is ahead is done: later callers then find room for more than one.
  const double ahead = static_cast<double>(queue_.size()) + running_;
  const double wait_ms = mean_task_ms_ * std::max(1.0, ahead / 2) / options_.worker_count;
  return static_cast<int32_t>(std::clamp(wait_ms, kMinRetryMs, kMaxRetryMs));
}

void ComputePool::Work() {
  if (options_.on_thread_start) options_.on_thread_start();
  while (true) {
    std::function<void()> task;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &ComputePool::HasWork));
      if (queue_.empty()) return;  // stopping, and all is done
      task = std::move(queue_.front());
      queue_.pop_front();
      ++running_;
    }
    const absl::Time start = absl::Now();
    task();
    task = nullptr;  // what it holds is let go outside the lock
    const double task_ms = absl::ToDoubleMilliseconds(absl::Now() - start);
    absl::MutexLock lock(&mutex_);
    --running_;
    mean_task_ms_ = mean_task_ms_ == 0 ? task_ms : mean_task_ms_ + kMeanWeight * (task_ms - mean_task_ms_);
  }
}

}  // namespace lifescope
