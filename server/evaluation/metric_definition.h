// What every metric of a dictionary means: a number is never shown without its definition.
#pragma once

#include <string>
#include <vector>

namespace lifescope {

// A definition never changes under its version.
struct MetricDefinition {
  const char* name;  // "fvu", "sae_lens.mse"
  int version;
  // e = x - r with r the reconstruction of the activation x (of a transcoder, the one that it predicts), f its
  // features, bars are means over rows.
  const char* formula;
  const char* reference;
  // What it does not say; where it is another library's mistake, that it is one.
  const char* caution;
};

// In the order in which cards and docs/metrics.md show them. The texts are those of the program: no pointer dies.
const std::vector<MetricDefinition>& MetricDefinitions();

// Throws c10::ValueError when there is none of that name.
const MetricDefinition& DefinitionOf(const std::string& name);

// docs/metrics.md.
std::string MetricsMarkdown();

}  // namespace lifescope
