// The whole client: from arguments to exit code.
#pragma once

#include <string>
#include <vector>

#include "client/cli/client.h"
#include "client/cli/terminal.h"

namespace lifescope {

// What the environment says before the arguments do.
struct Environment {
  std::string server;     // LIFESCOPE_SERVER; may be empty
  std::string principal;  // USER, or the account's name; may be empty

  static Environment OfProcess();
};

// Runs `lifescope <arguments>` (without the program's name).
ExitCode RunCommandLine(const std::vector<std::string>& arguments, const Environment& environment, Terminal& terminal);

}  // namespace lifescope
