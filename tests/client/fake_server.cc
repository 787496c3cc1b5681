#include "tests/client/fake_server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "client/cli/command_line.h"

namespace lifescope {
namespace {

constexpr char kRunId[] = "5b0c6d0c-5b7a-4a8e-9d3b-2f6f0a1c9d11";

void FillProvenance(v1::Provenance& provenance) {
  provenance.set_model_digest("sha256:0123456789abcdef");
  provenance.set_duration_ms(12.34);
  provenance.set_device("cpu");
  provenance.set_n_slots(128);
  provenance.set_principal("ada");
  provenance.mutable_created_at()->set_seconds(1'600'000'000);
}

void FillModel(v1::Model& model) {
  model.set_name("demo");
  model.set_digest("sha256:0123456789abcdef");
  model.set_layer_count(2);
  model.set_parameter_count(1'234'567);
}

void FillFeature(int32_t index, v1::Feature& feature) {
  feature.set_feature(index);
  feature.set_max_activation(4);
  feature.set_mean_activation(1.5);
  feature.set_token_density(0.012);
  feature.set_person_density(0.34);
  feature.set_active_token_count(1200);
  feature.set_active_person_count(680);
  for (const int64_t count : {1000, 150, 0, 50}) feature.add_histogram(count);
  feature.mutable_index()->set_person_count(2000);
  feature.mutable_index()->set_token_count(100'000);
}

}  // namespace

FakeServer::FakeServer() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(static_cast<v1::CatalogService::Service*>(this));
  builder.RegisterService(static_cast<v1::FeatureService::Service*>(this));
  builder.RegisterService(static_cast<v1::RunService::Service*>(this));
  builder.RegisterService(static_cast<v1::AnalysisService::Service*>(this));
  server_ = builder.BuildAndStart();
}

FakeServer::~FakeServer() { Stop(); }

std::string FakeServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

void FakeServer::Stop() {
  if (server_ != nullptr) server_->Shutdown();
  server_.reset();
}

grpc::Status FakeServer::Admit(Context& context, const std::string& method) {
  methods.push_back(method);
  const auto principal = context.client_metadata().find("lifescope-principal");
  if (principal != context.client_metadata().end()) {
    principals.emplace_back(principal->second.data(), principal->second.size());
  }
  if (refusals.empty()) return grpc::Status::OK;
  const Refusal refusal = refusals.front();
  refusals.pop_front();
  if (!refusal.pushback.empty()) context.AddTrailingMetadata("grpc-retry-pushback-ms", refusal.pushback);
  return refusal.status;
}

grpc::Status FakeServer::GetCapabilities(Context* context, const v1::GetCapabilitiesRequest*,
                                         v1::Capabilities* response) {
  response->set_software_version("0.1.0");
  response->set_device("cpu");
  response->set_store("sqlite");
  response->set_max_message_bytes(64 << 20);
  response->set_max_forwards_per_run(65536);
  v1::HookPointDescription* point = (*response->mutable_hook_points())["demo"].add_points();
  point->set_name("blocks.1.hook_resid_post");
  point->add_shape(96);
  point->set_editable(true);
  return Admit(*context, "GetCapabilities");
}

grpc::Status FakeServer::ListModels(Context* context, const v1::ListModelsRequest*, v1::ListModelsResponse* response) {
  FillModel(*response->add_models());
  return Admit(*context, "ListModels");
}

grpc::Status FakeServer::GetModel(Context* context, const v1::GetModelRequest* request, v1::Model* response) {
  FillModel(*response);
  const grpc::Status admitted = Admit(*context, "GetModel");
  if (!admitted.ok() || request->model() == "demo") return admitted;
  return grpc::Status(grpc::StatusCode::NOT_FOUND, absl::StrCat("no model '", request->model(), "'"));
}

grpc::Status FakeServer::ListDictionaries(Context* context, const v1::ListDictionariesRequest*,
                                          v1::ListDictionariesResponse* response) {
  v1::Dictionary* dictionary = response->add_dictionaries();
  dictionary->set_name("demo-sae");
  dictionary->set_hook_point("blocks.1.hook_resid_post");
  dictionary->set_architecture("topk");
  dictionary->set_feature_count(64);
  return Admit(*context, "ListDictionaries");
}

grpc::Status FakeServer::ListHeads(Context* context, const v1::ListHeadsRequest*, v1::ListHeadsResponse* response) {
  v1::Head* head = response->add_heads();
  head->set_name("heart");
  head->set_model("demo");
  head->set_kind("attention");
  v1::PredictedTarget* target = head->add_targets();
  target->set_name("trait:illness=cardiac");
  target->add_classes("not cardiac");
  target->add_classes("cardiac");
  return Admit(*context, "ListHeads");
}

// Two pages of one corpus each.
grpc::Status FakeServer::ListCorpora(Context* context, const v1::ListCorporaRequest* request,
                                     v1::ListCorporaResponse* response) {
  const bool is_first = request->page_token().empty();
  v1::Corpus* corpus = response->add_corpora();
  corpus->set_name(is_first ? "demo" : "second");
  corpus->set_person_count(is_first ? 2000 : 3);
  if (is_first) response->set_next_page_token("page 2");
  return Admit(*context, "ListCorpora");
}

grpc::Status FakeServer::GetCorpus(Context* context, const v1::GetCorpusRequest*, v1::Corpus* response) {
  response->set_name("demo");
  response->set_reference_date("2008-01-01");
  return Admit(*context, "GetCorpus");
}

grpc::Status FakeServer::GetDocument(Context* context, const v1::GetDocumentRequest* request,
                                     v1::DocumentText* response) {
  const grpc::Status admitted = Admit(*context, "GetDocument");
  if (!admitted.ok()) return admitted;
  if (!gives_text) return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "this server gives no text");
  *response = FakeText();
  response->set_person_id(request->person().person_id());
  return grpc::Status::OK;
}

grpc::Status FakeServer::GetFeature(Context* context, const v1::GetFeatureRequest* request, v1::Feature* response) {
  FillFeature(request->feature(), *response);
  const grpc::Status admitted = Admit(*context, "GetFeature");
  if (!admitted.ok() || request->feature() < 64) return admitted;
  return grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "feature: 9999, expected [0, 64)");
}

grpc::Status FakeServer::ListFeatures(Context* context, const v1::ListFeaturesRequest* request,
                                      v1::ListFeaturesResponse* response) {
  // Pages of at most two, so that a client that asks once gets too few.
  const int32_t first = request->page_token().empty() ? 0 : std::stoi(request->page_token());
  const int32_t end = std::min(first + std::min(request->page_size(), 2), 5);
  for (int32_t feature = first; feature < end; ++feature) FillFeature(feature, *response->add_features());
  if (end < 5) response->set_next_page_token(std::to_string(end));
  return Admit(*context, "ListFeatures");
}

grpc::Status FakeServer::ListTopExamples(Context* context, const v1::ListTopExamplesRequest* request,
                                         v1::ListTopExamplesResponse* response) {
  top = *request;
  const grpc::Status admitted = Admit(*context, "ListTopExamples");
  if (!admitted.ok()) return admitted;
  if (request->include_text() && !gives_text) {
    return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "this server gives no text");
  }
  response->mutable_index()->set_person_count(2000);
  for (int rank = 1; rank <= 2; ++rank) {
    v1::Example* example = response->add_examples();
    example->set_rank(rank);
    example->set_person_id(16 + rank);
    example->set_position(5);
    example->set_activation(4.0 / rank);
    if (request->include_text()) *example->mutable_text() = FakeText();
  }
  return grpc::Status::OK;
}

grpc::Status FakeServer::Run(Context* context, const v1::RunRequest* request, v1::RunResponse* response) {
  run = *request;
  request_ids.push_back(request->request_id());
  response->set_run_id(kRunId);
  FillProvenance(*response->mutable_provenance());
  v1::DocumentResult* clean = response->mutable_result()->add_clean();
  for (int read = 0; read < request->run().reads_size(); ++read) {
    v1::ReadValue* value = clean->add_values();
    value->set_read(read);
    *value->mutable_tensor() = FloatTensor({2}, {0.5F, -1.25F});
  }
  for (const v1::Intervention& intervention : request->run().interventions()) {
    v1::InterventionResult* result = response->mutable_result()->add_interventions();
    result->set_name(intervention.name());
    *result->add_documents() = *clean;
  }
  return Admit(*context, "Run");
}

grpc::Status FakeServer::Encode(Context* context, const v1::EncodeRequest* request, v1::EncodeResponse* response) {
  encode = *request;
  request_ids.push_back(request->request_id());
  response->set_run_id(kRunId);
  FillProvenance(*response->mutable_provenance());
  for (int document = 0; document < request->documents_size(); ++document) {
    *response->add_features() =
        FakeFeatures({{{3, 1.F}}, {}, {}, {}, {{7, 0.5F}, {40, 2.F}}, {{40, 4.F}}, {}, {{3, 0.25F}}, {}, {}});
  }
  return Admit(*context, "Encode");
}

grpc::Status FakeServer::AblateFeatures(Context* context, const v1::AblateFeaturesRequest* request,
                                        v1::AblateFeaturesResponse* response) {
  ablate = *request;
  request_ids.push_back(request->request_id());
  response->set_run_id(kRunId);
  FillProvenance(*response->mutable_provenance());
  for (int effect = 0; effect < (request->each_separately() ? request->features_size() : 1); ++effect) {
    v1::AblationEffect* added = response->add_effects();
    if (request->each_separately()) {
      added->add_features(request->features(effect));
    } else {
      *added->mutable_features() = request->features();
    }
    v1::PositionEffect* position = added->add_positions();
    position->set_position(5);
    position->set_kl(0.125 * (effect + 1));
    v1::TokenEffect* token = position->add_tokens();
    token->set_token("INCOME_40");
    token->set_clean_log_probability(std::log(0.5));
    token->set_ablated_log_probability(std::log(0.125));
    if (request->head().empty()) continue;
    for (const auto& [name, clean] : {std::pair{"not cardiac", 0.75}, std::pair{"cardiac", 0.25}}) {
      v1::ClassEffect* entry = added->add_classes();
      entry->set_target("trait:illness=cardiac");
      entry->set_class_name(name);
      entry->set_clean_probability(clean);
      entry->set_ablated_probability(1 - clean);
    }
  }
  return Admit(*context, "AblateFeatures");
}

grpc::Status FakeServer::PatchActivations(Context* context, const v1::PatchActivationsRequest* request,
                                          v1::PatchActivationsResponse* response) {
  patch = *request;
  request_ids.push_back(request->request_id());
  response->set_run_id(kRunId);
  FillProvenance(*response->mutable_provenance());
  response->set_metric_clean(2);
  response->set_metric_corrupted(-2);
  for (int target = 0; target < request->targets_size(); ++target) {
    v1::PatchEffect* effect = response->add_effects();
    effect->set_metric_patched(-1);
    effect->set_normalized(0.25);
  }
  return Admit(*context, "PatchActivations");
}

grpc::Status FakeServer::Attribute(Context* context, const v1::AttributeRequest* request,
                                   v1::AttributeResponse* response) {
  attribute = *request;
  response->set_run_id(kRunId);
  FillProvenance(*response->mutable_provenance());
  response->set_metric(2);
  response->set_metric_baseline(-1);
  response->set_completeness_residual(0.25);
  v1::NodeEffect* node = response->add_nodes();
  node->set_position(5);
  node->set_unit(40);
  node->set_effect(-4);
  node->set_exact(-3.5);
  node = response->add_nodes();
  node->set_position(8);
  node->set_unit(-1);
  node->set_effect(1);
  *response->add_checked() = response->nodes(0);
  const std::vector<double> positions = {0, 0, 0, 0, 0, -4, 0, 0.25, 1, 0};
  v1::Tensor& tensor = *response->mutable_position_effects();
  tensor.set_data_type(v1::DATA_TYPE_FLOAT64);
  tensor.add_shape(static_cast<int64_t>(positions.size()));
  tensor.set_data(positions.data(), positions.size() * sizeof(double));
  return Admit(*context, "Attribute");
}

grpc::Status FakeServer::FindCircuit(Context* context, const v1::FindCircuitRequest* request,
                                     v1::FindCircuitResponse* response) {
  find_circuit = *request;
  response->set_run_id(kRunId);
  FillProvenance(*response->mutable_provenance());
  response->set_metric(2);
  response->set_metric_empty(0);
  response->set_metric_circuit(1.5);
  response->set_metric_complement(0.5);
  response->set_faithfulness(0.75);
  v1::NodeEffect* node = response->add_upstream();
  node->set_position(5);
  node->set_unit(12);
  node = response->add_downstream();
  node->set_position(7);
  node->set_unit(-1);
  response->add_edges()->set_weight(-1.5);
  return Admit(*context, "FindCircuit");
}

grpc::Status FakeServer::TestConcept(Context* context, const v1::TestConceptRequest* request,
                                     v1::TestConceptResponse* response) {
  test_concept = *request;
  response->set_run_id(kRunId);
  FillProvenance(*response->mutable_provenance());
  response->set_accuracy(0.9);
  response->set_sign_count(0.75);
  response->set_magnitude(0.8);
  response->add_random_sign_counts(0.5);
  response->set_p_value(0.5);
  return Admit(*context, "TestConcept");
}

// Two layers by three events; layer 1, event 2 is the answer.
grpc::Status FakeServer::Sweep(Context* context, const v1::SweepRequest* request,
                               grpc::ServerWriter<v1::SweepPart>* writer) {
  sweep = *request;
  v1::SweepPart part;
  v1::SweepResponse response;
  v1::SweepHeader& header = *response.mutable_header();
  for (const int layer : {0, 1}) header.add_rows(absl::StrCat("blocks.", layer, ".hook_resid_post"));
  for (const int event : {0, 1, 2}) header.add_columns(absl::StrCat("event ", event));
  header.set_cell_count(6);
  header.set_metric_clean(2);
  header.set_metric_corrupted(-2);
  *part.mutable_header() = header;
  writer->Write(part);
  for (int i = static_cast<int>(request->first_cell()); i < 6; ++i) {
    if (i == sweep_breaks_after) return grpc::Status(grpc::StatusCode::INTERNAL, "the cable was cut");
    v1::SweepCell& cell = *response.add_cells();
    cell.set_row(i / 3);
    cell.set_column(i % 3);
    cell.set_metric(i == 5 ? 1.5 : -2 + 0.1 * i);
    cell.set_normalized((cell.metric() + 2) / 4);
    *part.mutable_cells() = v1::SweepCells();
    *part.mutable_cells()->add_cells() = cell;
    writer->Write(part);
  }
  response.set_run_id(kRunId);
  FillProvenance(*response.mutable_provenance());
  *part.mutable_response() = response;
  writer->Write(part);
  return Admit(*context, "Sweep");
}

grpc::Status FakeServer::AlignDocuments(Context* context, const v1::AlignDocumentsRequest*,
                                        v1::AlignDocumentsResponse* response) {
  for (const int position : {0, 4}) {
    response->add_base_positions(position);
    response->add_donor_positions(position + 2);
  }
  for (const int position : {3, 5, 6, 7}) response->add_base_only(position);
  return Admit(*context, "AlignDocuments");
}

grpc::Status FakeServer::ListRuns(Context* context, const v1::ListRunsRequest*, v1::ListRunsResponse* response) {
  v1::RunSummary* summary = response->add_runs();
  summary->set_run_id(kRunId);
  summary->set_kind(v1::RUN_KIND_ENCODE);
  summary->set_model("demo");
  summary->set_result_bytes(4300);
  FillProvenance(*summary->mutable_provenance());
  return Admit(*context, "ListRuns");
}

grpc::Status FakeServer::GetRun(Context* context, const v1::GetRunRequest* request, v1::GetRunResponse* response) {
  const grpc::Status admitted = Admit(*context, "GetRun");
  if (!admitted.ok()) return admitted;
  if (request->run_id() != kRunId) {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, absl::StrCat("no run '", request->run_id(), "'"));
  }
  v1::RunSummary* summary = response->mutable_summary();
  summary->set_run_id(kRunId);
  summary->set_kind(v1::RUN_KIND_ENCODE);
  summary->set_model("demo");
  FillProvenance(*summary->mutable_provenance());
  response->mutable_encode()->add_documents()->mutable_person()->set_person_id(17);
  *response->mutable_encode_response()->add_features() = FakeFeatures({{{40, 4.F}}});
  response->mutable_encode_response()->set_run_id(kRunId);
  return grpc::Status::OK;
}

Outcome Invoke(const std::vector<std::string>& arguments, const std::string& server) {
  std::ostringstream out, err;
  Terminal terminal{out, err};
  const ExitCode exit_code = RunCommandLine(arguments, Environment{server, "ada"}, terminal);
  return {exit_code, out.str(), err.str()};
}

}  // namespace lifescope
