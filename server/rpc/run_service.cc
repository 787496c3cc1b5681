#include "lifescope/v1/run_service.grpc.pb.h"
#include "server/rpc/handle.h"
#include "server/rpc/services.h"

namespace lifescope {
namespace {

class RunServiceImpl final : public v1::RunService::Service {
 public:
  explicit RunServiceImpl(App& app) : app_(app) {}

  grpc::Status Run(grpc::ServerContext* context, const v1::RunRequest* request, v1::RunResponse* response) override {
    return Handle("RunService.Run", context, [&](CallContext& call) { return app_.Run(*request, call, *response); });
  }
  grpc::Status Encode(grpc::ServerContext* context, const v1::EncodeRequest* request,
                      v1::EncodeResponse* response) override {
    return Handle("RunService.Encode", context,
                  [&](CallContext& call) { return app_.Encode(*request, call, *response); });
  }
  grpc::Status AblateFeatures(grpc::ServerContext* context, const v1::AblateFeaturesRequest* request,
                              v1::AblateFeaturesResponse* response) override {
    return Handle("RunService.AblateFeatures", context,
                  [&](CallContext& call) { return app_.AblateFeatures(*request, call, *response); });
  }
  grpc::Status PatchActivations(grpc::ServerContext* context, const v1::PatchActivationsRequest* request,
                                v1::PatchActivationsResponse* response) override {
    return Handle("RunService.PatchActivations", context,
                  [&](CallContext& call) { return app_.PatchActivations(*request, call, *response); });
  }
  grpc::Status ListRuns(grpc::ServerContext* context, const v1::ListRunsRequest* request,
                        v1::ListRunsResponse* response) override {
    return Handle("RunService.ListRuns", context, [&](CallContext&) { return app_.ListRuns(*request, *response); });
  }
  grpc::Status GetRun(grpc::ServerContext* context, const v1::GetRunRequest* request,
                      v1::GetRunResponse* response) override {
    return Handle("RunService.GetRun", context, [&](CallContext&) { return app_.GetRun(*request, *response); });
  }

 private:
  App& app_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeRunService(App& app) { return std::make_unique<RunServiceImpl>(app); }

}  // namespace lifescope
