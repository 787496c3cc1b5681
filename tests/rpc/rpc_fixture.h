// The server behind a real socket.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "lifescope/v1/catalog_service.grpc.pb.h"
#include "lifescope/v1/feature_service.grpc.pb.h"
#include "lifescope/v1/run_service.grpc.pb.h"
#include "server/rpc/server.h"
#include "tests/app/tiny_home.h"

namespace lifescope {

struct TinyServer {
  explicit TinyServer(const AppOptions& options = TinyApp::SmallOptions());

  // Calls any method with raw bytes.
  grpc::Status CallRaw(const std::string& method, const std::string& request, std::string* response = nullptr) const;
  // Serving status of a health service; -1 when the call failed.
  int Health(const std::string& service) const;
  // True while the only worker computes and one call waits, seen through a refused call.
  void WaitUntilBusy() const;

  TinyApp tiny;
  std::unique_ptr<RpcServer> server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::RunService::Stub> runs;
  std::unique_ptr<v1::CatalogService::Stub> catalog;
  std::unique_ptr<v1::FeatureService::Stub> features;
};

// Values of health.proto.
inline constexpr int kServing = 1, kNotServing = 2;

}  // namespace lifescope
