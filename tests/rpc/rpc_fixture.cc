#include "tests/rpc/rpc_fixture.h"

#include <grpcpp/generic/generic_stub.h>

#include <chrono>
#include <stdexcept>

namespace lifescope {
namespace {

// Tests may be slow under sanitizers, but must not hang.
constexpr auto kPatience = std::chrono::seconds(60);

std::unique_ptr<RpcServer> StartServer(App& app, int64_t max_message_bytes) {
  RpcOptions options;
  options.max_message_bytes = max_message_bytes;
  auto server = RpcServer::Start(app, "127.0.0.1:0", options);
  if (!server.ok()) throw std::runtime_error(server.status().ToString());
  return *std::move(server);
}

}  // namespace

TinyServer::TinyServer(const AppOptions& options)
    : tiny(options), server(StartServer(*tiny.app, options.max_message_bytes)) {
  server->SetReady(true);
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  channel = grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server->port()), grpc::InsecureChannelCredentials(),
                                      arguments);
  runs = v1::RunService::NewStub(channel);
  catalog = v1::CatalogService::NewStub(channel);
  features = v1::FeatureService::NewStub(channel);
}

grpc::Status TinyServer::CallRaw(const std::string& method, const std::string& request, std::string* response) const {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  grpc::CompletionQueue queue;
  const grpc::Slice slice(request);
  const grpc::ByteBuffer bytes(&slice, 1);
  const auto call = stub.PrepareUnaryCall(&context, method, bytes, &queue);
  call->StartCall();
  grpc::ByteBuffer answer;
  grpc::Status status;
  call->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  grpc::Slice whole;
  if (response != nullptr && status.ok() && answer.DumpToSingleSlice(&whole).ok()) {
    response->assign(reinterpret_cast<const char*>(whole.begin()), whole.size());
  }
  return status;
}

int TinyServer::Health(const std::string& service) const {
  // HealthCheckRequest {1: service}, HealthCheckResponse {1: status}: the generated classes are not packaged.
  std::string request;
  if (!service.empty()) {
    request.push_back(0x0a);
    request.push_back(static_cast<char>(service.size()));
    request += service;
  }
  std::string response;
  if (!CallRaw("/grpc.health.v1.Health/Check", request, &response).ok() || response.size() != 2) return -1;
  return response[1];
}

void TinyServer::WaitUntilBusy() const {
  grpc::Status status;
  do {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(20));
    v1::EncodeResponse response;
    status = runs->Encode(&context, TinyEncode(), &response);
  } while (status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED);
}

}  // namespace lifescope
