// The server's life: load, listen, be ready, drain, end.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace lifescope {

struct ServeOptions {
  // Folder with models, dictionaries and corpora.
  std::string home;
  // "host:port", port 0: a free one; or "unix:/path".
  std::string listen = "127.0.0.1:50051";
  // Empty: "sqlite:<home>/lifescope.db".
  std::string store;
  std::string device = "cpu";
  // 0: one per CPU, at most 4.
  int32_t workers = 0;
  // Per worker. 0: the CPUs shared out.
  int32_t threads = 0;
  // Seconds of serving on after readiness was withdrawn, so that load balancers notice.
  double drain_delay_s = 0;
  // Seconds that running calls have to end.
  double grace_s = 10;
  bool no_text = false;
  bool no_migrate = false;
};

// Serves until SIGINT or SIGTERM, then drains in five steps: readiness is withdrawn; the drain delay passes; new calls
// are refused; running ones have the grace to end; compute threads and the store are closed. A second signal ends the
// process at once with 130 or 143. Fails with the reason when the server cannot start.
absl::Status Serve(const ServeOptions& options);

}  // namespace lifescope
