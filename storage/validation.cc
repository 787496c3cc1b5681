#include "storage/validation.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace lifescope {
namespace {

// Names a value; the text is only put together for a message, since there are millions of rows.
struct Field {
  const char* name;
  const char* list = nullptr;
  size_t row = 0;

  std::string ToString() const { return list == nullptr ? name : absl::StrCat(list, "[", row, "].", name); }
};

absl::Status Invalid(const Field& field, const std::string& found, const std::string& expected) {
  return absl::InvalidArgumentError(absl::StrCat(field.ToString(), ": found ", found, ", expected ", expected));
}

// Length of the well-formed UTF-8 sequence that starts at `at`; 0 when there is none. As PostgreSQL's: no overlong
// forms, no surrogates, nothing above U+10FFFF.
size_t Utf8SequenceLength(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned lead = byte(at);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  unsigned lowest = 0x80, highest = 0xBF;
  if (lead == 0xE0) lowest = 0xA0;
  if (lead == 0xED) highest = 0x9F;
  if (lead == 0xF0) lowest = 0x90;
  if (lead == 0xF4) highest = 0x8F;
  if (byte(at + 1) < lowest || byte(at + 1) > highest) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (byte(at + i) < 0x80 || byte(at + i) > 0xBF) return 0;
  }
  return length;
}

absl::Status CheckText(const Field& field, const std::string& value, int64_t max_bytes) {
  if (static_cast<int64_t>(value.size()) > max_bytes) {
    return Invalid(field, absl::StrCat(value.size(), " bytes"), absl::StrCat("at most ", max_bytes));
  }
  for (size_t at = 0; at < value.size();) {
    const size_t length = value[at] == '\0' ? 0 : Utf8SequenceLength(value, at);
    if (length == 0) {
      return Invalid(field, absl::StrCat("\"", absl::CHexEscape(value.substr(at, 1)), "\" at byte ", at),
                     "UTF-8 text without NUL");
    }
    at += length;
  }
  return absl::OkStatus();
}

absl::Status CheckBlob(const Field& field, const std::string& value) {
  if (static_cast<int64_t>(value.size()) <= kMaxBlobBytes) return absl::OkStatus();
  return Invalid(field, absl::StrCat(value.size(), " bytes"), absl::StrCat("at most ", kMaxBlobBytes));
}

absl::Status CheckCount(const Field& field, int64_t value) {
  if (value >= 0) return absl::OkStatus();
  return Invalid(field, absl::StrCat(value), "a count of 0 or more");
}

absl::Status CheckFinite(const Field& field, double value) {
  if (std::isfinite(value)) return absl::OkStatus();
  return Invalid(field, absl::StrCat(value), "a finite number");
}

// The first that is not OK.
absl::Status All(std::initializer_list<absl::Status> checks) {
  for (const absl::Status& check : checks) {
    if (!check.ok()) return check;
  }
  return absl::OkStatus();
}

absl::Status CheckFeature(const FeatureRecord& feature, size_t row) {
  const char* list = "features";
  return All({CheckFinite({"max_activation", list, row}, feature.max_activation),
              CheckFinite({"activation_sum", list, row}, feature.activation_sum),
              CheckCount({"active_token_count", list, row}, feature.active_token_count),
              CheckCount({"active_person_count", list, row}, feature.active_person_count)});
}

absl::Status CheckFeatures(const FeatureIndexRecord& index, const std::vector<FeatureRecord>& features) {
  const int64_t count = index.feature_count;
  if (static_cast<int64_t>(features.size()) != count) {
    return Invalid({"features"}, absl::StrCat(features.size(), " rows"), absl::StrCat("feature_count = ", count));
  }
  std::vector<bool> seen(features.size(), false);
  for (size_t row = 0; row < features.size(); ++row) {
    const int64_t feature = features[row].feature;
    if (feature < 0 || feature >= count) {
      return Invalid({"feature", "features", row}, absl::StrCat(feature), absl::StrCat("0 to ", count - 1));
    }
    if (seen[feature]) {
      return Invalid({"feature", "features", row}, absl::StrCat(feature, " a second time"), "each feature once");
    }
    seen[feature] = true;
    const absl::Status numbers = CheckFeature(features[row], row);
    if (!numbers.ok()) return numbers;
  }
  return absl::OkStatus();
}

absl::Status CheckExample(const ExampleRecord& example, int64_t feature_count, size_t row) {
  const char* list = "examples";
  if (example.feature < 0 || example.feature >= feature_count) {
    return Invalid({"feature", list, row}, absl::StrCat(example.feature), absl::StrCat("0 to ", feature_count - 1));
  }
  if (example.rank < 1) return Invalid({"rank", list, row}, absl::StrCat(example.rank), "1 or more");
  return All({CheckFinite({"activation", list, row}, example.activation),
              CheckCount({"person_id", list, row}, example.person_id),
              CheckCount({"position", list, row}, example.position)});
}

absl::Status CheckExamples(const FeatureIndexRecord& index, const std::vector<ExampleRecord>& examples) {
  std::vector<std::pair<int64_t, int32_t>> places;
  places.reserve(examples.size());
  for (size_t row = 0; row < examples.size(); ++row) {
    const absl::Status valid = CheckExample(examples[row], index.feature_count, row);
    if (!valid.ok()) return valid;
    places.emplace_back(examples[row].feature, examples[row].rank);
  }
  std::sort(places.begin(), places.end());
  const auto twice = std::adjacent_find(places.begin(), places.end());
  if (twice == places.end()) return absl::OkStatus();
  return Invalid({"examples"}, absl::StrCat("rank ", twice->second, " of feature ", twice->first, " twice"),
                 "each rank of a feature once");
}

}  // namespace

absl::Status CheckName(const char* field, const std::string& value) {
  if (value.empty()) return Invalid({field}, "nothing", absl::StrCat("1 to ", kMaxNameBytes, " bytes of text"));
  return CheckText({field}, value, kMaxNameBytes);
}

absl::Status CheckPageSize(int32_t page_size) {
  if (page_size >= 1 && page_size <= kMaxPageSize) return absl::OkStatus();
  return Invalid({"page_size"}, absl::StrCat(page_size), absl::StrCat("1 to ", kMaxPageSize));
}

absl::Status CheckArtifactKind(ArtifactKind kind) {
  switch (kind) {
    case ArtifactKind::kModel:
    case ArtifactKind::kDictionary:
    case ArtifactKind::kCorpus:
    case ArtifactKind::kHead:
      return absl::OkStatus();
  }
  return Invalid({"kind"}, absl::StrCat(static_cast<int>(kind)), "a model, dictionary, corpus or head");
}

absl::Status CheckArtifact(const ArtifactRecord& artifact) {
  return All({CheckArtifactKind(artifact.kind), CheckName("name", artifact.name), CheckName("digest", artifact.digest),
              CheckText({"description"}, artifact.description, kMaxBlobBytes)});
}

absl::Status CheckRun(const RunRecord& run) {
  if (run.kind < 1) return Invalid({"kind"}, absl::StrCat(run.kind), "a run kind of 1 or more");
  return All({CheckName("run_id", run.run_id), CheckName("principal", run.principal),
              CheckName("request_id", run.request_id), CheckText({"model"}, run.model, kMaxNameBytes),
              CheckText({"request_sha256"}, run.request_sha256, kMaxNameBytes), CheckBlob({"request"}, run.request),
              CheckBlob({"result"}, run.result), CheckBlob({"provenance"}, run.provenance)});
}

absl::Status CheckFeatureIndex(const FeatureIndexRecord& index, const std::vector<FeatureRecord>& features,
                               const std::vector<ExampleRecord>& examples) {
  const absl::Status header =
      All({CheckName("index_id", index.index_id), CheckName("model_digest", index.model_digest),
           CheckName("dictionary_digest", index.dictionary_digest), CheckName("corpus_digest", index.corpus_digest),
           CheckCount({"token_count"}, index.token_count), CheckCount({"person_count"}, index.person_count),
           CheckCount({"n_slots"}, index.n_slots), CheckCount({"feature_count"}, index.feature_count),
           CheckCount({"examples_per_feature"}, index.examples_per_feature),
           CheckText({"software_version"}, index.software_version, kMaxNameBytes)});
  if (!header.ok()) return header;
  const absl::Status rows = CheckFeatures(index, features);
  return rows.ok() ? CheckExamples(index, examples) : rows;
}

absl::Status CheckTrainingRun(const TrainingRunRecord& run) {
  return All({CheckName("run_id", run.run_id), CheckName("model", run.model),
              CheckName("corpus_digest", run.corpus_digest), CheckText({"recipe"}, run.recipe, kMaxBlobBytes),
              CheckText({"software_version"}, run.software_version, kMaxNameBytes)});
}

absl::Status CheckTrainingMetrics(const std::vector<TrainingMetricRecord>& metrics) {
  const char* list = "metrics";
  for (size_t row = 0; row < metrics.size(); ++row) {
    const TrainingMetricRecord& metric = metrics[row];
    if (metric.step < 1) return Invalid({"step", list, row}, absl::StrCat(metric.step), "1 or more");
    const absl::Status finite = All(
        {CheckFinite({"learning_rate", list, row}, metric.learning_rate), CheckFinite({"loss", list, row}, metric.loss),
         CheckFinite({"mlm_loss", list, row}, metric.mlm_loss), CheckFinite({"sop_loss", list, row}, metric.sop_loss),
         CheckFinite({"validation_mlm_loss", list, row}, metric.validation_mlm_loss.value_or(0))});
    if (!finite.ok()) return finite;
  }
  return absl::OkStatus();
}

absl::Status CheckAudit(const AuditRecord& entry) {
  return All({CheckName("principal", entry.principal), CheckName("action", entry.action),
              CheckName("corpus_digest", entry.corpus_digest)});
}

}  // namespace lifescope
