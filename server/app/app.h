// The use cases of the server: engine + registry + storage, one method per call of the API. The only place that turns
// engine exceptions into Status (engine_status.h). It speaks the API's messages, so that what is stored is what was
// asked and answered (docs/adr).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lifescope/v1/analysis_service.pb.h"
#include "lifescope/v1/catalog_service.pb.h"
#include "lifescope/v1/feature_service.pb.h"
#include "lifescope/v1/run_service.pb.h"
#include "storage/store.h"

namespace lifescope {

class ComputePool;
class Registry;
struct Plan;

// Clients learn each limit from GetCapabilities.
struct AppOptions {
  int32_t worker_count = 1;
  // Per worker. 0: AvailableCpus() / worker_count, at least 1.
  int32_t threads_per_worker = 0;
  // Calls that wait for compute; one more gets RESOURCE_EXHAUSTED.
  int32_t max_queued_calls = 64;
  int32_t max_documents_per_run = 1024;
  // documents x (1 + interventions) of one run.
  int32_t max_forwards_per_run = 65536;
  // Largest request and answer.
  int64_t max_message_bytes = 64 << 20;
  // Dense reads that one run may hold in memory while it is computed.
  int64_t max_read_bytes = int64_t{1} << 30;
  // Whether document text may leave (GetDocument, example text).
  bool gives_text = true;
  // "cpu" or "cuda:<n>"; for provenance, the registry was loaded onto it.
  std::string device = "cpu";

  // INVALID_ARGUMENT naming the option.
  absl::Status Validate() const;
};

// What a call brings along.
struct CallContext {
  // The client's claim, until authentication is configured.
  std::string principal = "anonymous";
  absl::Time deadline = absl::InfiniteFuture();
  // True once the caller has gone away. May be empty.
  std::function<bool()> cancelled;
  // Out: milliseconds after which a refused call may be retried; set with RESOURCE_EXHAUSTED by a full queue.
  int32_t retry_after_ms = 0;
};

// Thread-safe. Codes: as the service comments in proto/lifescope/v1.
class App {
 public:
  // Registers the registry's artefacts in the store and starts the workers.
  static absl::StatusOr<std::unique_ptr<App>> Create(const AppOptions& options, Registry registry,
                                                     std::unique_ptr<Store> store);
  ~App();

  // RunService.
  absl::Status Run(const v1::RunRequest& request, CallContext& call, v1::RunResponse& response);
  absl::Status Encode(const v1::EncodeRequest& request, CallContext& call, v1::EncodeResponse& response);
  absl::Status AblateFeatures(const v1::AblateFeaturesRequest& request, CallContext& call,
                              v1::AblateFeaturesResponse& response);
  absl::Status PatchActivations(const v1::PatchActivationsRequest& request, CallContext& call,
                                v1::PatchActivationsResponse& response);
  absl::Status ListRuns(const v1::ListRunsRequest& request, v1::ListRunsResponse& response);
  absl::Status GetRun(const v1::GetRunRequest& request, v1::GetRunResponse& response);

  // AnalysisService.
  absl::Status Attribute(const v1::AttributeRequest& request, CallContext& call, v1::AttributeResponse& response);
  absl::Status FindCircuit(const v1::FindCircuitRequest& request, CallContext& call, v1::FindCircuitResponse& response);
  absl::Status TestConcept(const v1::TestConceptRequest& request, CallContext& call, v1::TestConceptResponse& response);
  // `write` sends a part; false ends the sweep with CANCELLED.
  absl::Status Sweep(const v1::SweepRequest& request, CallContext& call,
                     const std::function<bool(const v1::SweepPart& part)>& write);
  absl::Status AlignDocuments(const v1::AlignDocumentsRequest& request, v1::AlignDocumentsResponse& response);

  // CatalogService.
  absl::Status ListModels(const v1::ListModelsRequest& request, v1::ListModelsResponse& response);
  absl::Status GetModel(const v1::GetModelRequest& request, v1::Model& response);
  absl::Status ListDictionaries(const v1::ListDictionariesRequest& request, v1::ListDictionariesResponse& response);
  absl::Status GetDictionary(const v1::GetDictionaryRequest& request, v1::Dictionary& response);
  absl::Status ListHeads(const v1::ListHeadsRequest& request, v1::ListHeadsResponse& response);
  absl::Status GetHead(const v1::GetHeadRequest& request, v1::Head& response);
  absl::Status ListCorpora(const v1::ListCorporaRequest& request, v1::ListCorporaResponse& response);
  absl::Status GetCorpus(const v1::GetCorpusRequest& request, v1::Corpus& response);
  absl::Status GetCapabilities(const v1::GetCapabilitiesRequest& request, v1::Capabilities& response);
  absl::Status GetDocument(const v1::GetDocumentRequest& request, CallContext& call, v1::DocumentText& response);

  // FeatureService.
  absl::Status GetFeature(const v1::GetFeatureRequest& request, v1::Feature& response);
  absl::Status ListFeatures(const v1::ListFeaturesRequest& request, v1::ListFeaturesResponse& response);
  absl::Status ListTopExamples(const v1::ListTopExamplesRequest& request, CallContext& call,
                               v1::ListTopExamplesResponse& response);

  // OK when the store answers and nothing drains: readiness.
  absl::Status Ready();
  // New calls get UNAVAILABLE; queued and running ones finish.
  void Drain();

 private:
  App(const AppOptions& options, Registry registry, std::unique_ptr<Store> store);
  absl::Status RegisterArtifacts();

  // Every method's frame: refuses while draining, converts what the engine throws.
  absl::Status Guard(const std::function<absl::Status()>& body);
  // Runs `work` on the compute pool; waits for it, for the deadline or for the caller to go away. In the latter two
  // cases it returns at once, and `work`, which must own all that it uses, is told through `cancelled`.
  absl::Status OnPool(CallContext& call, std::function<absl::Status(const std::function<bool()>& cancelled)> work);
  // As OnPool, but waits and tries again while the queue is full.
  absl::Status OnPoolPatiently(CallContext& call,
                               const std::function<absl::Status(const std::function<bool()>& cancelled)>& work);
  absl::Status ComputeSweep(const v1::SweepRequest& request, CallContext& call,
                            const std::function<bool(const v1::SweepPart& part)>& write, RunRecord& record);
  // The life of every call that runs: the stored answer of the same request id, or plan, execute, shape, store.
  template <typename Request, typename Response>
  absl::Status Answer(const Request& request, CallContext& call, Response& response);
  // Fills the record of a call that is stored, a message with a `request_id`, whose result is that of an earlier call
  // of the same id, or empty. Codes as FindAnswer, and INVALID_ARGUMENT.
  absl::Status StartRecord(const google::protobuf::Message& request, v1::RunKind kind, const CallContext& call,
                           RunRecord& record);
  // Stores an answered call. OK also when another thread of the same request id was first: then `record.result` is its
  // answer.
  absl::Status StoreAnswer(RunRecord& record);
  // Puts the stored answer of the record's request id into its `result`. NOT_FOUND when there is none, ALREADY_EXISTS
  // when it answers another request.
  absl::Status FindAnswer(RunRecord& record);
  v1::Provenance MakeProvenance(const Plan& plan, const CallContext& call, double duration_ms) const;

  // Of a feature call: the dictionary and its index.
  struct IndexedDictionary;
  absl::Status FindIndex(const std::string& dictionary, const std::string& index_id, IndexedDictionary& found);
  // Joins the text to the examples of an index over `corpus_digest`; audited.
  absl::Status JoinText(const std::string& corpus_digest, int32_t context_events, const CallContext& call,
                        v1::ListTopExamplesResponse& response);
  // PERMISSION_DENIED where no text is given.
  absl::Status CheckMayGiveText() const;
  // Writes to the audit log who is about to see whose text. UNAVAILABLE when that cannot be written.
  absl::Status AuditText(const std::string& action, const std::string& corpus_digest, std::vector<int64_t> person_ids,
                         const CallContext& call);

  // Constant after construction; the store synchronises itself.
  const AppOptions options_;
  const std::unique_ptr<const Registry> registry_;
  const std::unique_ptr<Store> store_;
  const absl::Time started_at_;
  std::atomic<bool> draining_{false};
  // Last: its threads end before what they use.
  std::unique_ptr<ComputePool> pool_;
};

}  // namespace lifescope
