#include "server/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "server/rpc/services.h"

namespace lifescope {
namespace {

constexpr char kReadiness[] = "lifescope.v1";

// Laptops behind NAT need pings; a client's own pings must not count as abuse.
void AddChannelArguments(const RpcOptions& options, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  builder.SetMaxSendMessageSize(static_cast<int>(options.max_message_bytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Two servers on one port would answer in turns.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(App& app, const std::string& address,
                                                            const RpcOptions& options) {
  // Process-wide switches of gRPC; setting them again changes nothing.
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  std::unique_ptr<RpcServer> rpc(new RpcServer);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &rpc->port_);
  AddChannelArguments(options, builder);
  grpc::ResourceQuota quota("lifescope");
  quota.SetMaxThreads(options.max_threads);
  builder.SetResourceQuota(quota);
  rpc->services_.push_back(MakeRunService(app));
  rpc->services_.push_back(MakeCatalogService(app));
  rpc->services_.push_back(MakeFeatureService(app));
  rpc->services_.push_back(MakeAnalysisService(app));
  for (const std::unique_ptr<grpc::Service>& service : rpc->services_) builder.RegisterService(service.get());
  rpc->server_ = builder.BuildAndStart();
  if (rpc->server_ == nullptr || rpc->port_ == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on '", address, "'; is the address right and free?"));
  }
  rpc->SetReady(false);
  return rpc;
}

RpcServer::~RpcServer() { Shutdown(absl::ZeroDuration()); }

void RpcServer::SetReady(bool ready) { server_->GetHealthCheckService()->SetServingStatus(kReadiness, ready); }

void RpcServer::Shutdown(absl::Duration grace) {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(grace));
}

void RpcServer::Wait() { server_->Wait(); }

}  // namespace lifescope
