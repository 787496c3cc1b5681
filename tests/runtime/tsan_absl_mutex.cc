// Tells ThreadSanitizer what absl::Mutex does. The system's Abseil is not instrumented, so that every access under one
// of its locks would be reported as a race. The linker sends our calls through these functions (--wrap,
// CMakeLists.txt), which say what Abseil's own code would say if it were built with the sanitizer. The mangled names
// carry Debian's inline namespace.
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace {

// Reads of a condition happen inside the wait, where ThreadSanitizer looks away.
template <typename Wait>
auto Waiting(absl::Mutex* mutex, Wait wait) {
  __tsan_mutex_pre_unlock(mutex, 0);
  __tsan_mutex_post_unlock(mutex, 0);
  __tsan_mutex_pre_lock(mutex, 0);
  struct Relock {
    absl::Mutex* mutex;
    ~Relock() { __tsan_mutex_post_lock(mutex, 0, 0); }
  } relock{mutex};
  return wait();
}

}  // namespace

extern "C" {

void __real__ZN4absl7debian35Mutex4LockEv(absl::Mutex* mutex);
void __wrap__ZN4absl7debian35Mutex4LockEv(absl::Mutex* mutex) {
  __tsan_mutex_pre_lock(mutex, 0);
  __real__ZN4absl7debian35Mutex4LockEv(mutex);
  __tsan_mutex_post_lock(mutex, 0, 0);
}

void __real__ZN4absl7debian35Mutex6UnlockEv(absl::Mutex* mutex);
void __wrap__ZN4absl7debian35Mutex6UnlockEv(absl::Mutex* mutex) {
  __tsan_mutex_pre_unlock(mutex, 0);
  __real__ZN4absl7debian35Mutex6UnlockEv(mutex);
  __tsan_mutex_post_unlock(mutex, 0);
}

void __real__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE(absl::Mutex* mutex, const absl::Condition& condition);
void __wrap__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE(absl::Mutex* mutex, const absl::Condition& condition) {
  Waiting(mutex, [&] { __real__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE(mutex, condition); });
}

bool __real__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE(absl::Mutex* mutex,
                                                                                     const absl::Condition& condition,
                                                                                     absl::Duration timeout);
bool __wrap__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE(absl::Mutex* mutex,
                                                                                     const absl::Condition& condition,
                                                                                     absl::Duration timeout) {
  return Waiting(mutex, [&] {
    return __real__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE(mutex, condition, timeout);
  });
}

void __real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(absl::CondVar* changed, absl::Mutex* mutex);
void __wrap__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(absl::CondVar* changed, absl::Mutex* mutex) {
  Waiting(mutex, [&] { __real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(changed, mutex); });
}

}  // extern "C"
