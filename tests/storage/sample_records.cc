#include "tests/storage/sample_records.h"

#include "absl/strings/str_cat.h"

namespace lifescope {
namespace {

std::string EveryByte(int first) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>((first + i) % 256);
  return bytes;
}

absl::Time SampleTime(int number) { return absl::FromUnixMicros(1'700'000'000'123'456 + number); }

}  // namespace

ArtifactRecord SampleArtifact(ArtifactKind kind, int number) {
  return {kind, absl::StrCat("name-", number), absl::StrCat("sha256:", number),
          absl::StrCat(R"({"text": "it's \"quoted\", ünïcode 🧬", "number": )", number, "}"), SampleTime(number)};
}

RunRecord SampleRun(int number) {
  RunRecord run;
  run.run_id = absl::StrCat("00000000-0000-4000-8000-", number);
  run.principal = "ada";
  run.request_id = absl::StrCat("request-", number);
  run.kind = 1 + number % 3;
  run.model = "life2vec-å";
  run.request = EveryByte(number);
  run.request_sha256 = absl::StrCat("sha256:request-", number);
  run.result = EveryByte(number) + EveryByte(0);
  run.provenance = EveryByte(7);
  run.created_at = SampleTime(number);
  return run;
}

RunSummaryRecord SummaryOf(const RunRecord& run) {
  return {run.run_id,
          run.principal,
          run.request_id,
          run.kind,
          run.model,
          run.provenance,
          static_cast<int64_t>(run.request.size()),
          static_cast<int64_t>(run.result.size()),
          run.created_at};
}

SampleIndex MakeSampleIndex(const std::string& index_id, int64_t feature_count, int32_t examples_per_feature) {
  SampleIndex sample;
  sample.index = {index_id, "sha256:model", "sha256:dictionary",  "sha256:corpus", 1'000'000,    5'000,
                  256,      feature_count,  examples_per_feature, "0.1.0",         SampleTime(0)};
  for (int64_t feature = 0; feature < feature_count; ++feature) {
    const int64_t level = feature * 7 % 5;
    sample.features.push_back({feature,
                               0.1 * static_cast<double>(level),
                               1.0 / static_cast<double>(feature + 3),
                               level * 10,
                               level,
                               {feature, 0, level, int64_t{1} << 40}});
    for (int32_t rank = 1; feature > 0 && rank <= examples_per_feature; ++rank) {
      sample.examples.push_back({feature, rank, feature * 100 + rank, rank * 3, 1.0 / (rank + 2)});
    }
  }
  return sample;
}

TrainingRunRecord SampleTrainingRun(int number) {
  return {absl::StrCat("training-", number),          "life2vec-å", "sha256:corpus",
          absl::StrCat(R"({"steps": )", number, "}"), "0.1.0",      SampleTime(number)};
}

TrainingMetricRecord SampleMetric(int64_t step) {
  const double x = 1 / (3.0 + static_cast<double>(step));
  TrainingMetricRecord metric{step, 1e-3 * x, 5 * x, 6 * x, x, {}};
  if (step % 3 == 0) metric.validation_mlm_loss = 7 * x;
  return metric;
}

AuditRecord SampleAudit(int number) {
  return {"ada", "GetDocument", "sha256:corpus", {number, 0, int64_t{1} << 50}, SampleTime(number)};
}

}  // namespace lifescope
