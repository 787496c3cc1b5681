// The metric of an analysis or a sweep, planned as the first read of a run.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "lifescope/v1/analysis_service.pb.h"
#include "server/app/field_path.h"
#include "server/app/plan.h"
#include "server/intervention/attribution/metric.h"

namespace lifescope {

// Adds a read of documents first .. first + count.
v1::Read& AddReadOf(int32_t first, int32_t count, v1::Run& run);

// Adds the metric of these documents; it must be the run's first read. INVALID_ARGUMENT when none is named.
absl::Status AddMetric(const v1::Metric& metric, int32_t first, int32_t count, v1::Run& run);
// How the metric's paths in the run read in the request.
void AddMetricPaths(RunPaths& paths);

// Throws c10::ValueError for a target or a class that the head does not have.
lifescope::Metric PlannedMetric(const v1::Metric& message, const Plan& plan);

// The metric from what its read gave.
double MetricOf(const lifescope::Metric& metric, const DocumentResult& document);

}  // namespace lifescope
