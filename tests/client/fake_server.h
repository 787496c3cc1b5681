// A server with canned answers on a socket of its own, and the client run against it.
#pragma once

#include <deque>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "client/cli/client.h"
#include "client/cli/terminal.h"
#include "lifescope/v1/analysis_service.grpc.pb.h"
#include "lifescope/v1/catalog_service.grpc.pb.h"
#include "lifescope/v1/feature_service.grpc.pb.h"
#include "lifescope/v1/run_service.grpc.pb.h"
#include "tests/client/canned_answers.h"

namespace lifescope {

// Holds model "demo" (2 layers), dictionary "demo-sae" (64 features), head "heart", corpus "demo" with person 17, whose
// life has a background of four positions and two events of three. Calls come one at a time.
class FakeServer : v1::CatalogService::Service,
                   v1::FeatureService::Service,
                   v1::RunService::Service,
                   v1::AnalysisService::Service {
 public:
  FakeServer();
  ~FakeServer() override;

  // "127.0.0.1:<port>".
  std::string address() const;
  void Stop();

  // What the next calls get instead of an answer, first in first out.
  struct Refusal {
    grpc::Status status;
    // Sent as grpc-retry-pushback-ms unless empty.
    std::string pushback;
  };
  std::deque<Refusal> refusals;
  // False: text is refused with PERMISSION_DENIED.
  bool gives_text = true;

  // Of every call, in order.
  std::vector<std::string> methods;
  std::vector<std::string> principals;
  std::vector<std::string> request_ids;
  // The last of each kind.
  v1::EncodeRequest encode;
  v1::AblateFeaturesRequest ablate;
  v1::PatchActivationsRequest patch;
  v1::AttributeRequest attribute;
  v1::FindCircuitRequest find_circuit;
  v1::TestConceptRequest test_concept;
  v1::SweepRequest sweep;
  // A sweep breaks off after so many cells; -1: never.
  int sweep_breaks_after = -1;
  v1::RunRequest run;
  v1::ListTopExamplesRequest top;

 private:
  using Context = grpc::ServerContext;
  grpc::Status Admit(Context& context, const std::string& method);

  grpc::Status GetCapabilities(Context*, const v1::GetCapabilitiesRequest*, v1::Capabilities*) override;
  grpc::Status ListModels(Context*, const v1::ListModelsRequest*, v1::ListModelsResponse*) override;
  grpc::Status GetModel(Context*, const v1::GetModelRequest*, v1::Model*) override;
  grpc::Status ListDictionaries(Context*, const v1::ListDictionariesRequest*, v1::ListDictionariesResponse*) override;
  grpc::Status ListHeads(Context*, const v1::ListHeadsRequest*, v1::ListHeadsResponse*) override;
  grpc::Status ListCorpora(Context*, const v1::ListCorporaRequest*, v1::ListCorporaResponse*) override;
  grpc::Status GetCorpus(Context*, const v1::GetCorpusRequest*, v1::Corpus*) override;
  grpc::Status GetDocument(Context*, const v1::GetDocumentRequest*, v1::DocumentText*) override;
  grpc::Status GetFeature(Context*, const v1::GetFeatureRequest*, v1::Feature*) override;
  grpc::Status ListFeatures(Context*, const v1::ListFeaturesRequest*, v1::ListFeaturesResponse*) override;
  grpc::Status ListTopExamples(Context*, const v1::ListTopExamplesRequest*, v1::ListTopExamplesResponse*) override;
  grpc::Status Run(Context*, const v1::RunRequest*, v1::RunResponse*) override;
  grpc::Status Encode(Context*, const v1::EncodeRequest*, v1::EncodeResponse*) override;
  grpc::Status AblateFeatures(Context*, const v1::AblateFeaturesRequest*, v1::AblateFeaturesResponse*) override;
  grpc::Status PatchActivations(Context*, const v1::PatchActivationsRequest*, v1::PatchActivationsResponse*) override;
  grpc::Status Attribute(Context*, const v1::AttributeRequest*, v1::AttributeResponse*) override;
  grpc::Status FindCircuit(Context*, const v1::FindCircuitRequest*, v1::FindCircuitResponse*) override;
  grpc::Status TestConcept(Context*, const v1::TestConceptRequest*, v1::TestConceptResponse*) override;
  grpc::Status Sweep(Context*, const v1::SweepRequest*, grpc::ServerWriter<v1::SweepPart>*) override;
  grpc::Status AlignDocuments(Context*, const v1::AlignDocumentsRequest*, v1::AlignDocumentsResponse*) override;
  grpc::Status ListRuns(Context*, const v1::ListRunsRequest*, v1::ListRunsResponse*) override;
  grpc::Status GetRun(Context*, const v1::GetRunRequest*, v1::GetRunResponse*) override;

  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// What a run of the client gave.
struct Outcome {
  ExitCode exit_code;
  std::string out;
  std::string err;
};
// `lifescope <arguments>` with LIFESCOPE_SERVER=`server` and USER=ada, into strings.
Outcome Invoke(const std::vector<std::string>& arguments, const std::string& server);

}  // namespace lifescope
