// What is wrong with the tables of an import.
#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <string>
#include <utility>

namespace lifescope {

// Only other tables or another description can mend it: what was made of these is of no use. A disk that is full or
// cannot be read is none.
class TableFault : public c10::ValueError {
 public:
  TableFault(c10::SourceLocation location, std::string message) : c10::ValueError(location, std::move(message)) {}
};

template <typename... Parts>
[[noreturn]] void ThrowTableFault(const Parts&... parts) {
  throw TableFault({__func__, __FILE__, static_cast<uint32_t>(__LINE__)}, c10::str(parts...));
}

}  // namespace lifescope
