// What the database keeps. Plain data, Abseil and std only. Times are kept to the microsecond; doubles to the bit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace lifescope {

// A model, dictionary, corpus or head that has been served: immutable, known by digest. Names may be reused over time;
// the pair (kind, name, digest) is unique.
enum class ArtifactKind { kModel = 1, kDictionary = 2, kCorpus = 3, kHead = 4 };

struct ArtifactRecord {
  ArtifactKind kind = ArtifactKind::kModel;
  std::string name;
  std::string digest;  // "sha256:..."
  // What the artefact says of itself, as JSON.
  std::string description;
  absl::Time created_at;

  bool operator==(const ArtifactRecord&) const = default;
};

// One answered call, whole. Insert-only.
struct RunRecord {
  std::string run_id;  // UUID
  std::string principal;
  std::string request_id;  // unique per principal
  int32_t kind = 0;        // lifescope.v1.RunKind
  std::string model;       // the model's name when it ran
  std::string request;     // serialised request message
  std::string request_sha256;
  std::string result;      // serialised response message
  std::string provenance;  // serialised lifescope.v1.Provenance
  absl::Time created_at;

  bool operator==(const RunRecord&) const = default;
};

// A run without its bulk, for lists.
struct RunSummaryRecord {
  std::string run_id;
  std::string principal;
  std::string request_id;
  int32_t kind = 0;
  std::string model;
  std::string provenance;
  int64_t request_bytes = 0;
  int64_t result_bytes = 0;
  absl::Time created_at;

  bool operator==(const RunSummaryRecord&) const = default;
};

// One pass of a dictionary over a corpus.
struct FeatureIndexRecord {
  std::string index_id;  // UUID
  std::string model_digest;
  std::string dictionary_digest;
  std::string corpus_digest;
  int64_t token_count = 0;
  int64_t person_count = 0;
  int64_t n_slots = 0;
  int64_t feature_count = 0;
  int64_t examples_per_feature = 0;
  std::string software_version;
  absl::Time created_at;

  bool operator==(const FeatureIndexRecord&) const = default;
};

struct FeatureRecord {
  int64_t feature = 0;
  double max_activation = 0;
  double activation_sum = 0;
  int64_t active_token_count = 0;
  int64_t active_person_count = 0;
  std::vector<int64_t> histogram;

  bool operator==(const FeatureRecord&) const = default;
};

// A reference to a place where a feature fires: never tokens.
struct ExampleRecord {
  int64_t feature = 0;
  int32_t rank = 0;  // from 1
  int64_t person_id = 0;
  int32_t position = 0;
  double activation = 0;

  bool operator==(const ExampleRecord&) const = default;
};

// One pre-training of a model; a resumed one is the same.
struct TrainingRunRecord {
  std::string run_id;  // UUID
  std::string model;   // the model's name
  std::string corpus_digest;
  std::string recipe;  // every option, as JSON
  std::string software_version;
  absl::Time created_at;

  bool operator==(const TrainingRunRecord&) const = default;
};

// Losses of one optimiser step, in nats.
struct TrainingMetricRecord {
  int64_t step = 0;  // from 1
  double learning_rate = 0;
  double loss = 0;
  double mlm_loss = 0;
  double sop_loss = 0;
  std::optional<double> validation_mlm_loss;

  bool operator==(const TrainingMetricRecord&) const = default;
};

// Who saw the text of whom.
struct AuditRecord {
  std::string principal;
  std::string action;  // "GetDocument", "ListTopExamples"
  std::string corpus_digest;
  std::vector<int64_t> person_ids;
  absl::Time created_at;

  bool operator==(const AuditRecord&) const = default;
};

enum class FeatureOrder { kIndex, kTokenDensityDesc, kMaxActivationDesc };

// A page of a list. `page_token` is opaque, from the previous page; empty: the first.
struct PageRequest {
  int32_t page_size = 50;
  std::string page_token;
};

template <typename T>
struct Page {
  std::vector<T> items;
  std::string next_page_token;  // empty on the last page
};

}  // namespace lifescope
