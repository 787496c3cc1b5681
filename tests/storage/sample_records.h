// Records that differ by a number.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "storage/records.h"

namespace lifescope {

ArtifactRecord SampleArtifact(ArtifactKind kind, int number);

// Its blobs hold every byte value; its request id is "request-<number>".
RunRecord SampleRun(int number);
RunSummaryRecord SummaryOf(const RunRecord& run);

struct SampleIndex {
  FeatureIndexRecord index;
  std::vector<FeatureRecord> features;
  std::vector<ExampleRecord> examples;
};
// Feature 0 is dead (no examples); the others have `examples_per_feature`. Many features tie in density and maximum.
SampleIndex MakeSampleIndex(const std::string& index_id, int64_t feature_count, int32_t examples_per_feature);

TrainingRunRecord SampleTrainingRun(int number);
// Every third step was followed by a validation.
TrainingMetricRecord SampleMetric(int64_t step);

AuditRecord SampleAudit(int number);

}  // namespace lifescope
