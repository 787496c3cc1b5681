// What every record must satisfy before a backend sees it, so that the same misuse gets the same answer from each.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "storage/store.h"

namespace lifescope {

// INVALID_ARGUMENT unless `value` is 1 to kMaxNameBytes bytes of UTF-8 without NUL. `field` is named in the message.
absl::Status CheckName(const char* field, const std::string& value);

absl::Status CheckPageSize(int32_t page_size);
absl::Status CheckArtifactKind(ArtifactKind kind);

absl::Status CheckArtifact(const ArtifactRecord& artifact);
absl::Status CheckRun(const RunRecord& run);
// Also that the features are 0 .. feature_count - 1, each once, and that the examples refer to them with ranks that are
// unique per feature.
absl::Status CheckFeatureIndex(const FeatureIndexRecord& index, const std::vector<FeatureRecord>& features,
                               const std::vector<ExampleRecord>& examples);
absl::Status CheckTrainingRun(const TrainingRunRecord& run);
// Also that steps count from 1.
absl::Status CheckTrainingMetrics(const std::vector<TrainingMetricRecord>& metrics);
absl::Status CheckAudit(const AuditRecord& entry);

}  // namespace lifescope
