// The gRPC server: services, health, reflection, limits.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/app/app.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace lifescope {

struct RpcOptions {
  // Largest message in either direction; more is RESOURCE_EXHAUSTED.
  int64_t max_message_bytes = 64 << 20;
  // Handler threads; each call holds one while it waits for compute.
  int32_t max_threads = 128;
  // Per connection.
  int32_t max_concurrent_streams = 256;
};

// Health: service "" is liveness and serves from the start; "lifescope.v1" is readiness and serves after
// SetReady(true). Load is never health. Thread-safe.
class RpcServer {
 public:
  // Listens on "host:port" or "unix:/path"; port 0 takes a free one. The application must outlive the server.
  // UNAVAILABLE naming the address when it cannot be bound.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(App& app, const std::string& address,
                                                          const RpcOptions& options = {});
  // Shutdown(absl::ZeroDuration()) unless it was called.
  ~RpcServer();

  // The bound port.
  int port() const { return port_; }
  void SetReady(bool ready);
  // Takes no new calls; running ones have `grace` to end, then they are cancelled. Returns when all have ended.
  void Shutdown(absl::Duration grace);
  // Returns after Shutdown.
  void Wait();

 private:
  RpcServer() = default;

  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace lifescope
