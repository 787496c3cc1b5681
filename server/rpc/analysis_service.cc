#include "lifescope/v1/analysis_service.grpc.pb.h"
#include "server/rpc/handle.h"
#include "server/rpc/services.h"

namespace lifescope {
namespace {

class AnalysisServiceImpl final : public v1::AnalysisService::Service {
 public:
  explicit AnalysisServiceImpl(App& app) : app_(app) {}

  grpc::Status Attribute(grpc::ServerContext* context, const v1::AttributeRequest* request,
                         v1::AttributeResponse* response) override {
    return Handle("AnalysisService.Attribute", context,
                  [&](CallContext& call) { return app_.Attribute(*request, call, *response); });
  }
  grpc::Status FindCircuit(grpc::ServerContext* context, const v1::FindCircuitRequest* request,
                           v1::FindCircuitResponse* response) override {
    return Handle("AnalysisService.FindCircuit", context,
                  [&](CallContext& call) { return app_.FindCircuit(*request, call, *response); });
  }
  grpc::Status TestConcept(grpc::ServerContext* context, const v1::TestConceptRequest* request,
                           v1::TestConceptResponse* response) override {
    return Handle("AnalysisService.TestConcept", context,
                  [&](CallContext& call) { return app_.TestConcept(*request, call, *response); });
  }
  grpc::Status Sweep(grpc::ServerContext* context, const v1::SweepRequest* request,
                     grpc::ServerWriter<v1::SweepPart>* writer) override {
    return Handle("AnalysisService.Sweep", context, [&](CallContext& call) {
      return app_.Sweep(*request, call, [writer](const v1::SweepPart& part) { return writer->Write(part); });
    });
  }
  grpc::Status AlignDocuments(grpc::ServerContext* context, const v1::AlignDocumentsRequest* request,
                              v1::AlignDocumentsResponse* response) override {
    return Handle("AnalysisService.AlignDocuments", context,
                  [&](CallContext&) { return app_.AlignDocuments(*request, *response); });
  }

 private:
  App& app_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAnalysisService(App& app) { return std::make_unique<AnalysisServiceImpl>(app); }

}  // namespace lifescope
