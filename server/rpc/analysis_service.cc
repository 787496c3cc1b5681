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

 private:
  App& app_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAnalysisService(App& app) { return std::make_unique<AnalysisServiceImpl>(app); }

}  // namespace lifescope
