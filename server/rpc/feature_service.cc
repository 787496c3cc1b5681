#include "lifescope/v1/feature_service.grpc.pb.h"
#include "server/rpc/handle.h"
#include "server/rpc/services.h"

namespace lifescope {
namespace {

class FeatureServiceImpl final : public v1::FeatureService::Service {
 public:
  explicit FeatureServiceImpl(App& app) : app_(app) {}

  grpc::Status GetFeature(grpc::ServerContext* context, const v1::GetFeatureRequest* request,
                          v1::Feature* response) override {
    return Handle("FeatureService.GetFeature", context,
                  [&](CallContext&) { return app_.GetFeature(*request, *response); });
  }
  grpc::Status ListFeatures(grpc::ServerContext* context, const v1::ListFeaturesRequest* request,
                            v1::ListFeaturesResponse* response) override {
    return Handle("FeatureService.ListFeatures", context,
                  [&](CallContext&) { return app_.ListFeatures(*request, *response); });
  }
  grpc::Status ListTopExamples(grpc::ServerContext* context, const v1::ListTopExamplesRequest* request,
                               v1::ListTopExamplesResponse* response) override {
    return Handle("FeatureService.ListTopExamples", context,
                  [&](CallContext& call) { return app_.ListTopExamples(*request, call, *response); });
  }

 private:
  App& app_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeFeatureService(App& app) { return std::make_unique<FeatureServiceImpl>(app); }

}  // namespace lifescope
