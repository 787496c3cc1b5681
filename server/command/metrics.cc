#include <cstdio>

#include "server/command/command.h"
#include "server/evaluation/metric_definition.h"

namespace lifescope {

void AddMetricsCommand(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("metrics", "Define every metric of dictionaries (docs/metrics.md)");
  verb->callback([] { std::fputs(MetricsMarkdown().c_str(), stdout); });
}

}  // namespace lifescope
