// Runs that must be refused before any compute.
#pragma once

#include <functional>
#include <ostream>

#include "server/intervention/run.h"

namespace lifescope {

enum class Kind { kValue, kIndex };

// What spoils a valid run, and the error that must follow.
struct Fault {
  const char* name;
  Kind kind;
  const char* message;  // its beginning
  std::function<void(Run&)> spoil;
};

void PrintTo(const Fault& fault, std::ostream* out);

// A run with one edit and one read that is valid until a fault spoils it.
Run ValidRun();
// Its edit.
Edit& FirstEdit(Run& run);

void ExpectRefused(const Fault& fault);

}  // namespace lifescope
