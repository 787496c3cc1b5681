// What a call complains about.
#pragma once

#include <c10/util/Exception.h>

#include <string>

namespace lifescope {

// The text of the c10::ValueError that `call` throws; "no error" when it throws none.
template <typename Call>
std::string ValueErrorOf(const Call& call) {
  try {
    call();
  } catch (const c10::ValueError& e) {
    return e.what_without_backtrace();
  }
  return "no error";
}

}  // namespace lifescope
