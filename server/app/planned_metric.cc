#include "server/app/planned_metric.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace lifescope {
namespace {

constexpr size_t kMetricRead = 0;

int64_t IndexOfName(const std::string& name, const std::vector<std::string>& names, const std::string& field) {
  if (name.empty() && names.size() == 1) return 0;
  const auto found = std::find(names.begin(), names.end(), name);
  TORCH_CHECK_VALUE(found != names.end(), field, ": '", name, "', expected one of ", absl::StrJoin(names, ", "));
  return found - names.begin();
}

}  // namespace

v1::Read& AddReadOf(int32_t first, int32_t count, v1::Run& run) {
  v1::Read& read = *run.add_reads();
  for (int32_t d = first; d < first + count; ++d) read.add_documents(d);
  return read;
}

// The metric of documents first .. first + count, as a read.
absl::Status AddMetric(const v1::Metric& metric, int32_t first, int32_t count, v1::Run& run) {
  v1::Read& read = AddReadOf(first, count, run);
  switch (metric.kind_case()) {
    case v1::Metric::kLogitDifference:
      read.mutable_logit_difference()->set_token_a(metric.logit_difference().token_a());
      read.mutable_logit_difference()->set_token_b(metric.logit_difference().token_b());
      read.mutable_positions()->add_indices(metric.logit_difference().position());
      return absl::OkStatus();
    case v1::Metric::kLogProbability:
      read.mutable_log_probability()->set_token(metric.log_probability().token());
      read.mutable_positions()->add_indices(metric.log_probability().position());
      return absl::OkStatus();
    case v1::Metric::kClassProbability:
      read.mutable_class_probability()->set_head(metric.class_probability().head());
      return absl::OkStatus();
    case v1::Metric::KIND_NOT_SET:
      break;
  }
  return InvalidField("metric.kind", "not set, expected logit_difference, log_probability or class_probability");
}

void AddMetricPaths(RunPaths& paths) {
  for (const char* kind : {"logit_difference", "log_probability", "class_probability"}) {
    paths.rules.push_back({std::regex(absl::StrCat("run\\.reads\\[0\\]\\.", kind)), absl::StrCat("metric.", kind)});
  }
  paths.rules.push_back({std::regex("run\\.reads\\[0\\]\\.positions\\.indices\\[0\\]"), "metric.position"});
}

lifescope::Metric PlannedMetric(const v1::Metric& message, const Plan& plan) {
  const ReadKind& kind = plan.run.reads.at(kMetricRead).kind;
  if (const auto* read = std::get_if<lifescope::LogitDifferenceRead>(&kind)) {
    return lifescope::LogitDifferenceMetric{message.logit_difference().position(), read->token_a, read->token_b};
  }
  if (const auto* read = std::get_if<lifescope::LogProbabilityRead>(&kind)) {
    return lifescope::LogProbabilityMetric{message.log_probability().position(), read->token};
  }
  const RunHead& head = plan.run.heads.at(std::get<lifescope::ClassProbabilityRead>(kind).head);
  std::vector<std::string> targets;
  const std::vector<PredictedTarget>& described = head.head->description().targets;
  for (const PredictedTarget& target : described) targets.push_back(target.name);
  const int64_t target = IndexOfName(message.class_probability().target(), targets, "metric.class_probability.target");
  return lifescope::ClassProbabilityMetric{
      head, target,
      IndexOfName(message.class_probability().class_name(), described[static_cast<size_t>(target)].classes,
                  "metric.class_probability.class_name")};
}

double MetricOf(const lifescope::Metric& metric, const DocumentResult& document) {
  at::Tensor value = std::get<at::Tensor>(document.values.at(kMetricRead).value);
  if (const auto* probability = std::get_if<lifescope::ClassProbabilityMetric>(&metric)) {
    value = value[probability->target][probability->class_index];
  }
  return value.to(at::kDouble).item<double>();
}

}  // namespace lifescope
