// The one place where engine exceptions become Status.
#pragma once

#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"

namespace lifescope {

// ValueError -> INVALID_ARGUMENT, IndexError -> OUT_OF_RANGE, OutOfMemoryError and allocation failures ->
// RESOURCE_EXHAUSTED, Cancelled -> CANCELLED, std::out_of_range -> NOT_FOUND, any other c10::Error or std::exception ->
// INTERNAL (logged whole, one line sent). Call inside a catch block's scope with the current exception.
absl::Status StatusFromEngineException(std::exception_ptr exception);

// Runs `body` (returning absl::Status) and converts what it throws.
template <typename Body>
absl::Status CatchEngineErrors(Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (...) {
    return StatusFromEngineException(std::current_exception());
  }
}

}  // namespace lifescope
