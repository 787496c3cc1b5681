// Stored runs: finding and keeping the answer of a request id, listing, reading back.
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/app/app.h"
#include "server/app/convert.h"
#include "server/app/identity.h"
#include "server/app/page.h"
#include "server/app/status_macros.h"
#include "server/app/unknown_fields.h"
#include "server/artifact/artifact.h"

namespace lifescope {
namespace {

constexpr int kStoreAttempts = 5;
// What GetRun adds to request and answer: summary, provenance again, framing.
constexpr int64_t kRecordOverheadBytes = 16 << 10;

// A record that GetRun could not send would be lost to its owner.
absl::Status CheckSendable(const RunRecord& record, int64_t max_message_bytes) {
  const int64_t bytes = static_cast<int64_t>(record.request.size() + record.result.size()) + kRecordOverheadBytes;
  if (bytes <= max_message_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("request and answer have ", bytes,
                                                 " bytes together, expected at most ", max_message_bytes,
                                                 "; ask for fewer documents, positions or reads. Nothing was stored"));
}

// One answered call from its stored bytes.
template <typename Request, typename Response>
absl::Status Restore(const RunRecord& record, Request* request, Response* response) {
  if (request->ParseFromString(record.request) && response->ParseFromString(record.result)) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("run '", record.run_id, "' cannot be read back"));
}

absl::Status RestoreByKind(const RunRecord& record, v1::GetRunResponse& response) {
  switch (record.kind) {
    case v1::RUN_KIND_RUN:
      return Restore(record, response.mutable_run(), response.mutable_run_response());
    case v1::RUN_KIND_ENCODE:
      return Restore(record, response.mutable_encode(), response.mutable_encode_response());
    case v1::RUN_KIND_ABLATE_FEATURES:
      return Restore(record, response.mutable_ablate_features(), response.mutable_ablate_features_response());
    case v1::RUN_KIND_PATCH_ACTIVATIONS:
      return Restore(record, response.mutable_patch_activations(), response.mutable_patch_activations_response());
    case v1::RUN_KIND_ATTRIBUTE:
      return Restore(record, response.mutable_attribute(), response.mutable_attribute_response());
    case v1::RUN_KIND_FIND_CIRCUIT:
      return Restore(record, response.mutable_find_circuit(), response.mutable_find_circuit_response());
    case v1::RUN_KIND_TEST_CONCEPT:
      return Restore(record, response.mutable_test_concept(), response.mutable_test_concept_response());
    case v1::RUN_KIND_SWEEP:
      return Restore(record, response.mutable_sweep(), response.mutable_sweep_response());
    default:
      return absl::DataLossError(absl::StrCat("run '", record.run_id, "' is of unknown kind ", record.kind));
  }
}

RunSummaryRecord SummaryOf(const RunRecord& record) {
  return {record.run_id,
          record.principal,
          record.request_id,
          record.kind,
          record.model,
          record.provenance,
          static_cast<int64_t>(record.request.size()),
          static_cast<int64_t>(record.result.size()),
          record.created_at};
}

}  // namespace

absl::Status App::StartRecord(const google::protobuf::Message& request, v1::RunKind kind, const CallContext& call,
                              RunRecord& record) {
  RETURN_IF_ERROR(CheckNoUnknownFields(request));
  record.principal = call.principal;
  record.kind = kind;
  record.request = DeterministicBytes(request);
  record.request_sha256 = Sha256(record.request);
  const google::protobuf::FieldDescriptor* id = request.GetDescriptor()->FindFieldByName("request_id");
  record.request_id = request.GetReflection()->GetString(request, id);
  RETURN_IF_ERROR(CheckPlainText("request_id", record.request_id));
  if (record.request_id.empty()) {
    record.request_id = NewUuid();
    return absl::OkStatus();
  }
  const absl::Status found = FindAnswer(record);
  return absl::IsNotFound(found) ? absl::OkStatus() : found;
}

absl::Status App::FindAnswer(RunRecord& record) {
  ASSIGN_OR_RETURN(RunRecord stored, store_->FindRunByRequest(record.principal, record.request_id));
  if (stored.kind != record.kind || stored.request_sha256 != record.request_sha256) {
    return absl::AlreadyExistsError(absl::StrCat("request_id: '", record.request_id,
                                                 "' was used with another request (run '", stored.run_id,
                                                 "'); choose a new one"));
  }
  record.run_id = std::move(stored.run_id);
  record.result = std::move(stored.result);
  return absl::OkStatus();
}

absl::Status App::StoreAnswer(RunRecord& record) {
  RETURN_IF_ERROR(CheckSendable(record, options_.max_message_bytes));
  absl::Status created;
  for (int attempt = 0; attempt < kStoreAttempts; ++attempt) {
    if (attempt > 0) absl::SleepFor(absl::Milliseconds(10 << attempt));
    created = store_->CreateRun(record);
    if (!absl::IsAborted(created)) break;
  }
  if (created.ok()) return created;
  if (absl::IsAlreadyExists(created) || absl::IsUnknown(created)) {
    // Another call of this request id was first, or the commit's outcome is not known: what is stored decides.
    if (const absl::Status found = FindAnswer(record); !absl::IsNotFound(found)) return found;
  }
  if (absl::IsResourceExhausted(created)) return created;
  return absl::UnavailableError(
      absl::StrCat("the answer could not be stored (", created.message(), "); retry with the same request_id"));
}

absl::Status App::ListRuns(const v1::ListRunsRequest& request, v1::ListRunsResponse& response) {
  return Guard([&]() -> absl::Status {
    if (!v1::RunKind_IsValid(request.kind())) {
      return absl::InvalidArgumentError(absl::StrCat("kind: ", request.kind(), ", expected a RunKind"));
    }
    ASSIGN_OR_RETURN(const PageRequest page, ToPageRequest(request));
    ASSIGN_OR_RETURN(const Page<RunSummaryRecord> runs, store_->ListRuns(request.kind(), page));
    for (const RunSummaryRecord& run : runs.items) ToMessage(run, *response.add_runs());
    response.set_next_page_token(runs.next_page_token);
    return absl::OkStatus();
  });
}

absl::Status App::GetRun(const v1::GetRunRequest& request, v1::GetRunResponse& response) {
  return Guard([&]() -> absl::Status {
    if (request.run_id().empty() || !CheckPlainText("run_id", request.run_id()).ok()) {
      return absl::NotFoundError("run_id: no run has that id");
    }
    ASSIGN_OR_RETURN(const RunRecord record, store_->GetRun(request.run_id()));
    ToMessage(SummaryOf(record), *response.mutable_summary());
    return RestoreByKind(record, response);
  });
}

}  // namespace lifescope
