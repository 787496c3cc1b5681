// The two macros of the service tier: leave a function with the Status of what failed in it.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define LIFESCOPE_CONCATENATE_(a, b) a##b
#define LIFESCOPE_CONCATENATE(a, b) LIFESCOPE_CONCATENATE_(a, b)

// RETURN_IF_ERROR(store.Ping());
#define RETURN_IF_ERROR(expression)                                                           \
  do {                                                                                        \
    if (absl::Status status_macro_ = (expression); !status_macro_.ok()) return status_macro_; \
  } while (false)

// ASSIGN_OR_RETURN(const RunRecord record, store.GetRun(id));
#define ASSIGN_OR_RETURN(declaration, expression) \
  LIFESCOPE_ASSIGN_OR_RETURN(LIFESCOPE_CONCATENATE(status_or_, __LINE__), declaration, expression)
#define LIFESCOPE_ASSIGN_OR_RETURN(status_or, declaration, expression) \
  auto status_or = (expression);                                       \
  if (!status_or.ok()) return status_or.status();                      \
  declaration = std::move(status_or).value()
