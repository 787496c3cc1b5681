// The services of lifescope.v1, each a thin class over App: convert, call, convert.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>

#include "server/app/app.h"

namespace lifescope {

// The application must outlive the service.
std::unique_ptr<grpc::Service> MakeRunService(App& app);
std::unique_ptr<grpc::Service> MakeCatalogService(App& app);
std::unique_ptr<grpc::Service> MakeFeatureService(App& app);
std::unique_ptr<grpc::Service> MakeAnalysisService(App& app);

}  // namespace lifescope
