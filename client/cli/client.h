// The server as the verbs see it: one method per call, answers or a Status that knows whose fault it was.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/progress.h"
#include "client/cli/terminal.h"
#include "lifescope/v1/analysis_service.grpc.pb.h"
#include "lifescope/v1/catalog_service.grpc.pb.h"
#include "lifescope/v1/feature_service.grpc.pb.h"
#include "lifescope/v1/run_service.grpc.pb.h"

namespace lifescope {

struct ClientOptions {
  // "host:port"; the port may be left out.
  std::string server = "127.0.0.1:50051";
  // For one call, retries included.
  absl::Duration timeout = absl::Minutes(5);
  // Sent as metadata `lifescope-principal`.
  std::string principal = "anonymous";
};

// What the process tells its caller.
enum ExitCode {
  kExitOk = 0,
  // The server said no, or its answer could not be kept.
  kExitRefused = 1,
  // Wrong arguments or input files.
  kExitUsage = 2,
  kExitUnreachable = 3,
};
ExitCode ExitCodeOf(const absl::Status& status);
// What to do about it, or "".
std::string Advice(const absl::Status& status);

// Every call is sent again while the server is there and says RESOURCE_EXHAUSTED with a pushback or UNAVAILABLE, as
// long as the timeout allows. Requests carry their `request_id`, so that no retry runs twice. Not thread-safe.
class Client {
 public:
  Client(const ClientOptions& options, Terminal& terminal);

  absl::StatusOr<v1::Capabilities> GetCapabilities();
  absl::StatusOr<v1::ListModelsResponse> ListModels(const v1::ListModelsRequest& request);
  absl::StatusOr<v1::Model> GetModel(const v1::GetModelRequest& request);
  absl::StatusOr<v1::ListDictionariesResponse> ListDictionaries(const v1::ListDictionariesRequest& request);
  absl::StatusOr<v1::ListHeadsResponse> ListHeads(const v1::ListHeadsRequest& request);
  absl::StatusOr<v1::ListCorporaResponse> ListCorpora(const v1::ListCorporaRequest& request);
  absl::StatusOr<v1::Corpus> GetCorpus(const v1::GetCorpusRequest& request);
  absl::StatusOr<v1::DocumentText> GetDocument(const v1::GetDocumentRequest& request);

  absl::StatusOr<v1::Feature> GetFeature(const v1::GetFeatureRequest& request);
  absl::StatusOr<v1::ListFeaturesResponse> ListFeatures(const v1::ListFeaturesRequest& request);
  absl::StatusOr<v1::ListTopExamplesResponse> ListTopExamples(const v1::ListTopExamplesRequest& request);

  absl::StatusOr<v1::RunResponse> Run(const v1::RunRequest& request);
  absl::StatusOr<v1::EncodeResponse> Encode(const v1::EncodeRequest& request);
  absl::StatusOr<v1::AblateFeaturesResponse> AblateFeatures(const v1::AblateFeaturesRequest& request);
  absl::StatusOr<v1::PatchActivationsResponse> PatchActivations(const v1::PatchActivationsRequest& request);
  absl::StatusOr<v1::AttributeResponse> Attribute(const v1::AttributeRequest& request);
  absl::StatusOr<v1::FindCircuitResponse> FindCircuit(const v1::FindCircuitRequest& request);
  absl::StatusOr<v1::TestConceptResponse> TestConcept(const v1::TestConceptRequest& request);
  // `on_part` gets the header and the cells as they come; after a retry they come again, from the header on. Waits as
  // long as it takes.
  absl::StatusOr<v1::SweepResponse> Sweep(const v1::SweepRequest& request,
                                          const std::function<void(const v1::SweepPart&)>& on_part);
  absl::StatusOr<v1::AlignDocumentsResponse> AlignDocuments(const v1::AlignDocumentsRequest& request);

  absl::StatusOr<v1::ListRunsResponse> ListRuns(const v1::ListRunsRequest& request);
  absl::StatusOr<v1::GetRunResponse> GetRun(const v1::GetRunRequest& request);

 private:
  using Attempt = std::function<grpc::Status(grpc::ClientContext&, Progress&)>;
  absl::Status Perform(const std::string& what, absl::Duration timeout, const Attempt& attempt);
  bool ServerAnswered(const grpc::ClientContext& context, const grpc::Status& status);
  template <typename Response, typename Stub, typename Request>
  absl::StatusOr<Response> Call(const std::string& what, Stub& stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                const Request& request);

  const ClientOptions options_;
  Terminal& terminal_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::CatalogService::Stub> catalog_;
  std::unique_ptr<v1::FeatureService::Stub> features_;
  std::unique_ptr<v1::RunService::Stub> runs_;
  std::unique_ptr<v1::AnalysisService::Stub> analyses_;
  bool was_connected_ = false;
};

// A random UUID (version 4): the request id of one invocation.
std::string NewRequestId();

}  // namespace lifescope
