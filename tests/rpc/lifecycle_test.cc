// Deadlines, cancellation, overload, health and drain, over a socket.
#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "tests/rpc/rpc_fixture.h"

namespace lifescope {
namespace {

grpc::Status EncodeOnce(const TinyServer& server) {
  grpc::ClientContext context;
  v1::EncodeResponse response;
  return server.runs->Encode(&context, TinyEncode(), &response);
}

// A call that ends only when it is stopped.
struct EndlessCall {
  explicit EndlessCall(const TinyServer& server)
      : status(std::async(std::launch::async, [this, &server] {
          v1::RunResponse response;
          return server.runs->Run(&context, EndlessRun(), &response);
        })) {}
  grpc::ClientContext context;
  std::future<grpc::Status> status;
};

TEST(Lifecycle, ADeadlineStopsTheRunAndNothingIsStored) {
  const TinyServer server;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
  v1::RunResponse response;
  EXPECT_EQ(server.runs->Run(&context, EndlessRun(), &response).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // The queue may still hold the stopped run for a moment.
  grpc::Status status;
  do {
    status = EncodeOnce(server);
  } while (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(server.tiny.StoredRunCount(), 1);
}

TEST(Lifecycle, ACancelledCallFreesItsWorker) {
  const TinyServer server;
  EndlessCall call(server);
  server.WaitUntilBusy();
  call.context.TryCancel();
  EXPECT_EQ(call.status.get().error_code(), grpc::StatusCode::CANCELLED);
  grpc::Status status;
  do {
    status = EncodeOnce(server);
  } while (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST(Lifecycle, ARefusedCallIsToldWhenToRetry) {
  const TinyServer server;
  EndlessCall call(server);
  server.WaitUntilBusy();
  grpc::Status status;
  do {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(20));
    v1::EncodeResponse response;
    status = server.runs->Encode(&context, TinyEncode(), &response);
    if (status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED) continue;
    const auto pushback = context.GetServerTrailingMetadata().find("grpc-retry-pushback-ms");
    ASSERT_NE(pushback, context.GetServerTrailingMetadata().end());
    EXPECT_GT(std::stoi(std::string(pushback->second.data(), pushback->second.size())), 0);
  } while (status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED);
  call.context.TryCancel();
}

TEST(Lifecycle, HealthTellsLivenessAndReadinessApart) {
  const TinyServer server;
  EXPECT_EQ(server.Health(""), kServing);
  EXPECT_EQ(server.Health("lifescope.v1"), kServing);
  server.server->SetReady(false);
  EXPECT_EQ(server.Health(""), kServing);
  EXPECT_EQ(server.Health("lifescope.v1"), kNotServing);
  EXPECT_EQ(server.Health("unknown"), -1);
}

TEST(Lifecycle, ADrainRefusesNewCallsAsUnavailable) {
  const TinyServer server;
  ASSERT_TRUE(EncodeOnce(server).ok());
  server.tiny.app->Drain();
  EXPECT_EQ(EncodeOnce(server).error_code(), grpc::StatusCode::UNAVAILABLE);
  grpc::ClientContext context;
  v1::ListModelsResponse response;
  EXPECT_EQ(server.catalog->ListModels(&context, {}, &response).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server.Health(""), kServing);
}

TEST(Lifecycle, ADrainLetsARunningCallEnd) {
  const TinyServer server;
  EndlessCall blocker(server);
  server.WaitUntilBusy();
  server.tiny.app->Drain();
  EXPECT_EQ(blocker.status.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  blocker.context.TryCancel();
  EXPECT_EQ(blocker.status.get().error_code(), grpc::StatusCode::CANCELLED);
}

TEST(Lifecycle, ShutdownStopsWhatOutlivesTheGrace) {
  const TinyServer server;
  EndlessCall call(server);
  server.WaitUntilBusy();
  server.server->Shutdown(absl::Milliseconds(50));
  EXPECT_FALSE(call.status.get().ok());
  EXPECT_TRUE(server.tiny.OpenStoreAgain()->ListRuns(v1::RUN_KIND_RUN, {10, ""})->items.empty());
  EXPECT_EQ(EncodeOnce(server).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(Lifecycle, ATakenPortIsNamed) {
  const TinyServer server;
  const std::string address = "127.0.0.1:" + std::to_string(server.server->port());
  const auto second = RpcServer::Start(*server.tiny.app, address);
  ASSERT_FALSE(second.ok());
  EXPECT_TRUE(absl::IsUnavailable(second.status()));
  EXPECT_NE(second.status().message().find(address), absl::string_view::npos);
}

}  // namespace
}  // namespace lifescope
