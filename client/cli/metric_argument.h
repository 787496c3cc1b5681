// The options that name a metric and where nodes go, of the verbs that explain one: --metric-at, --tokens, --token,
// --head,
// --target, --class; --baseline-person, --mean-persons.
#pragma once

#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "client/cli/document_argument.h"
#include "lifescope/v1/analysis_service.pb.h"

namespace lifescope {

struct MetricOptions {
  std::optional<int32_t> position;
  std::string tokens;
  std::string token;
  std::string head;
  std::string target;
  std::string class_name;
};
void AddMetricOptions(CLI::App& verb, MetricOptions& options);
// INVALID_ARGUMENT where the options name none or several.
absl::StatusOr<v1::Metric> ReadMetric(const MetricOptions& options);
// "logit(A) - logit(B) at position 57", "P(cardiac)".
std::string DescribeMetric(const v1::Metric& metric);

struct BaselineOptions {
  DocumentSource document;
  DocumentSource mean;
};
void AddBaselineOptions(CLI::App& verb, BaselineOptions& options);
// Zero where no option is given.
absl::StatusOr<v1::Baseline> ReadBaseline(const BaselineOptions& options, const DocumentOptions& documents);
// "zero", "person 21", "the mean of 20 lives".
std::string DescribeBaseline(const v1::Baseline& baseline);

void AddGradientRule(CLI::App& verb, v1::GradientRule& rule, int32_t& steps);

}  // namespace lifescope
