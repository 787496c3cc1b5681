#include "storage/store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/page_token.h"
#include "storage/validation.h"

namespace lifescope {
namespace {

// Checks a page request for the list named `list`; the key after which the page starts.
absl::StatusOr<int64_t> PageStart(const std::string& list, const PageRequest& page) {
  const absl::Status size = CheckPageSize(page.page_size);
  if (!size.ok()) return size;
  return DecodePageToken(list, page.page_token);
}

// `rows` were asked for with one more than fits, which tells whether another page follows.
template <typename T>
absl::StatusOr<Page<T>> ToPage(const std::string& list, const PageRequest& request, absl::StatusOr<KeyedRows<T>> rows) {
  if (!rows.ok()) return rows.status();
  Page<T> page;
  const size_t size = static_cast<size_t>(request.page_size);
  if (rows->size() > size) {
    rows->resize(size);
    page.next_page_token = EncodePageToken(list, rows->back().key);
  }
  page.items.reserve(rows->size());
  for (KeyedRow<T>& row : *rows) page.items.push_back(std::move(row.value));
  return page;
}

std::string FeatureList(const std::string& index_id, const std::string& rest) {
  return absl::StrCat("index=", index_id, "/", rest);
}

absl::Status CheckOrder(FeatureOrder order) {
  switch (order) {
    case FeatureOrder::kIndex:
    case FeatureOrder::kTokenDensityDesc:
    case FeatureOrder::kMaxActivationDesc:
      return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("order: found ", static_cast<int>(order), ", expected a FeatureOrder"));
}

}  // namespace

absl::Status Store::PutArtifact(const ArtifactRecord& artifact) {
  const absl::Status valid = CheckArtifact(artifact);
  return valid.ok() ? DoPutArtifact(artifact) : valid;
}

absl::StatusOr<Page<ArtifactRecord>> Store::ListArtifacts(ArtifactKind kind, const PageRequest& page) {
  const absl::Status valid = CheckArtifactKind(kind);
  if (!valid.ok()) return valid;
  const std::string list = absl::StrCat("artifacts/kind=", static_cast<int>(kind));
  const absl::StatusOr<int64_t> start = PageStart(list, page);
  if (!start.ok()) return start.status();
  return ToPage(list, page, DoListArtifacts(kind, *start, page.page_size + 1));
}

absl::Status Store::CreateRun(const RunRecord& run) {
  const absl::Status valid = CheckRun(run);
  if (!valid.ok()) return valid;
  const absl::Status created = DoCreateRun(run);
  if (!absl::IsAlreadyExists(created)) return created;
  return absl::AlreadyExistsError(
      absl::StrCat("run id ", run.run_id, " or request id ", run.request_id, " of ", run.principal, " is taken"));
}

absl::StatusOr<RunRecord> Store::GetRun(const std::string& run_id) {
  const absl::Status valid = CheckName("run_id", run_id);
  if (!valid.ok()) return valid;
  return DoGetRun(run_id);
}

absl::StatusOr<RunRecord> Store::FindRunByRequest(const std::string& principal, const std::string& request_id) {
  for (const absl::Status& valid : {CheckName("principal", principal), CheckName("request_id", request_id)}) {
    if (!valid.ok()) return valid;
  }
  return DoFindRunByRequest(principal, request_id);
}

absl::StatusOr<Page<RunSummaryRecord>> Store::ListRuns(int32_t kind, const PageRequest& page) {
  if (kind < 0) {
    return absl::InvalidArgumentError(absl::StrCat("kind: found ", kind, ", expected a run kind, or 0 for all"));
  }
  const std::string list = absl::StrCat("runs/kind=", kind);
  const absl::StatusOr<int64_t> start = PageStart(list, page);
  if (!start.ok()) return start.status();
  return ToPage(list, page, DoListRuns(kind, *start, page.page_size + 1));
}

absl::Status Store::CreateFeatureIndex(const FeatureIndexRecord& index, const std::vector<FeatureRecord>& features,
                                       const std::vector<ExampleRecord>& examples) {
  const absl::Status valid = CheckFeatureIndex(index, features, examples);
  if (!valid.ok()) return valid;
  const absl::Status created = DoCreateFeatureIndex(index, features, examples);
  if (!absl::IsAlreadyExists(created)) return created;
  return absl::AlreadyExistsError(absl::StrCat("feature index ", index.index_id, " already exists"));
}

absl::StatusOr<FeatureIndexRecord> Store::GetFeatureIndex(const std::string& index_id) {
  const absl::Status valid = CheckName("index_id", index_id);
  if (!valid.ok()) return valid;
  return DoGetFeatureIndex(index_id);
}

absl::StatusOr<FeatureIndexRecord> Store::NewestFeatureIndex(const std::string& dictionary_digest) {
  const absl::Status valid = CheckName("dictionary_digest", dictionary_digest);
  if (!valid.ok()) return valid;
  return DoNewestFeatureIndex(dictionary_digest);
}

absl::StatusOr<FeatureRecord> Store::GetFeature(const std::string& index_id, int64_t feature) {
  const absl::Status valid = CheckName("index_id", index_id);
  if (!valid.ok()) return valid;
  absl::StatusOr<FeatureRecord> found = DoGetFeature(index_id, feature);
  if (!absl::IsNotFound(found.status())) return found;
  // Says which of the two is missing.
  const absl::StatusOr<FeatureIndexRecord> index = DoGetFeatureIndex(index_id);
  if (!index.ok()) return index.status();
  return absl::NotFoundError(absl::StrCat("feature ", feature, " does not exist: index ", index_id, " has ",
                                          index->feature_count, " features"));
}

absl::StatusOr<Page<FeatureRecord>> Store::ListFeatures(const std::string& index_id, FeatureOrder order,
                                                        const PageRequest& page) {
  for (const absl::Status& valid : {CheckName("index_id", index_id), CheckOrder(order)}) {
    if (!valid.ok()) return valid;
  }
  const std::string list = FeatureList(index_id, absl::StrCat("features/order=", static_cast<int>(order)));
  const absl::StatusOr<int64_t> start = PageStart(list, page);
  if (!start.ok()) return start.status();
  absl::StatusOr<KeyedRows<FeatureRecord>> rows = DoListFeatures(index_id, order, *start, page.page_size + 1);
  if (rows.ok() && rows->empty()) {
    const absl::StatusOr<FeatureIndexRecord> index = DoGetFeatureIndex(index_id);
    if (!index.ok()) return index.status();
  }
  return ToPage(list, page, std::move(rows));
}

absl::StatusOr<Page<ExampleRecord>> Store::ListExamples(const std::string& index_id, int64_t feature,
                                                        const PageRequest& page) {
  const absl::Status valid = CheckName("index_id", index_id);
  if (!valid.ok()) return valid;
  const std::string list = FeatureList(index_id, absl::StrCat("feature=", feature, "/examples"));
  const absl::StatusOr<int64_t> start = PageStart(list, page);
  if (!start.ok()) return start.status();
  absl::StatusOr<KeyedRows<ExampleRecord>> rows = DoListExamples(index_id, feature, *start, page.page_size + 1);
  if (rows.ok() && rows->empty()) {
    const absl::StatusOr<FeatureRecord> parent = GetFeature(index_id, feature);
    if (!parent.ok()) return parent.status();
  }
  return ToPage(list, page, std::move(rows));
}

absl::Status Store::PutTrainingRun(const TrainingRunRecord& run) {
  const absl::Status valid = CheckTrainingRun(run);
  return valid.ok() ? DoPutTrainingRun(run) : valid;
}

absl::StatusOr<TrainingRunRecord> Store::GetTrainingRun(const std::string& run_id) {
  const absl::Status valid = CheckName("run_id", run_id);
  if (!valid.ok()) return valid;
  return DoGetTrainingRun(run_id);
}

absl::StatusOr<Page<TrainingRunRecord>> Store::ListTrainingRuns(const PageRequest& page) {
  const std::string list = "training_runs";
  const absl::StatusOr<int64_t> start = PageStart(list, page);
  if (!start.ok()) return start.status();
  return ToPage(list, page, DoListTrainingRuns(*start, page.page_size + 1));
}

absl::Status Store::AppendTrainingMetrics(const std::string& run_id, const std::vector<TrainingMetricRecord>& metrics) {
  for (const absl::Status& valid : {CheckName("run_id", run_id), CheckTrainingMetrics(metrics)}) {
    if (!valid.ok()) return valid;
  }
  return DoAppendTrainingMetrics(run_id, metrics);
}

absl::StatusOr<Page<TrainingMetricRecord>> Store::ListTrainingMetrics(const std::string& run_id,
                                                                      const PageRequest& page) {
  const absl::Status valid = CheckName("run_id", run_id);
  if (!valid.ok()) return valid;
  const std::string list = absl::StrCat("training_run=", run_id, "/metrics");
  const absl::StatusOr<int64_t> start = PageStart(list, page);
  if (!start.ok()) return start.status();
  absl::StatusOr<KeyedRows<TrainingMetricRecord>> rows = DoListTrainingMetrics(run_id, *start, page.page_size + 1);
  if (rows.ok() && rows->empty()) {
    const absl::StatusOr<TrainingRunRecord> parent = DoGetTrainingRun(run_id);
    if (!parent.ok()) return parent.status();
  }
  return ToPage(list, page, std::move(rows));
}

absl::Status Store::AppendAudit(const AuditRecord& entry) {
  const absl::Status valid = CheckAudit(entry);
  return valid.ok() ? DoAppendAudit(entry) : valid;
}

absl::StatusOr<Page<AuditRecord>> Store::ListAudit(const PageRequest& page) {
  const std::string list = "audit";
  const absl::StatusOr<int64_t> start = PageStart(list, page);
  if (!start.ok()) return start.status();
  return ToPage(list, page, DoListAudit(*start, page.page_size + 1));
}

}  // namespace lifescope
