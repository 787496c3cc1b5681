#include <cstdlib>
#include <exception>
#include <iostream>

#include "client/cli/command_line.h"

int main(int argc, char** argv) {
  // Connection trouble is told once, in our words.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  lifescope::Terminal terminal = lifescope::Terminal::Standard();
  try {
    return lifescope::RunCommandLine({argv + 1, argv + argc}, lifescope::Environment::OfProcess(), terminal);
  } catch (const std::exception& error) {
    std::cerr << "lifescope: " << error.what() << "\n";
    return lifescope::kExitRefused;
  }
}
