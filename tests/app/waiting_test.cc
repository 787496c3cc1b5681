// What a call meets before and while it waits for compute: deadline, cancellation, a full queue, a drain.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "server/app/app.h"
#include "tests/app/tiny_home.h"

namespace lifescope {
namespace {

absl::Status Encode(App& app, CallContext& call) {
  v1::EncodeResponse response;
  return app.Encode(TinyEncode(), call, response);
}

absl::Status RunEndlessly(App& app, CallContext& call) {
  v1::RunResponse response;
  return app.Run(EndlessRun(), call, response);
}

TEST(Waiting, APastDeadlineIsDeadlineExceeded) {
  const TinyApp tiny;
  CallContext call;
  call.deadline = absl::Now() - absl::Seconds(1);
  EXPECT_TRUE(absl::IsDeadlineExceeded(Encode(*tiny.app, call)));
  EXPECT_EQ(tiny.StoredRunCount(), 0);
}

TEST(Waiting, ADeadlineDuringComputeStopsTheRun) {
  const TinyApp tiny;
  CallContext call;
  call.deadline = absl::Now() + absl::Milliseconds(200);
  EXPECT_TRUE(absl::IsDeadlineExceeded(RunEndlessly(*tiny.app, call)));
  // The only worker is free again, or this would wait for minutes.
  CallContext next;
  EXPECT_TRUE(Encode(*tiny.app, next).ok());
  EXPECT_EQ(tiny.StoredRunCount(), 1);
}

TEST(Waiting, ACallerWhoGoesAwayStopsTheRun) {
  const TinyApp tiny;
  CallContext call;
  int asked = 0;
  call.cancelled = [&asked] { return ++asked > 3; };
  EXPECT_TRUE(absl::IsCancelled(RunEndlessly(*tiny.app, call)));
  CallContext next;
  EXPECT_TRUE(Encode(*tiny.app, next).ok());
  EXPECT_EQ(tiny.StoredRunCount(), 1);
}

TEST(Waiting, AFullQueueSaysWhenToRetry) {
  const TinyApp tiny;
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;
  // One runs, one waits.
  for (int i = 0; i < 2; ++i) {
    callers.emplace_back([&] {
      absl::Status status;
      do {
        CallContext call;
        call.cancelled = [&stop] { return stop.load(); };
        status = RunEndlessly(*tiny.app, call);
      } while (!stop);
    });
  }
  absl::Status status;
  CallContext call;
  do {
    call = CallContext();
    call.deadline = absl::Now() + absl::Milliseconds(20);
    status = Encode(*tiny.app, call);
  } while (!absl::IsResourceExhausted(status));
  EXPECT_GT(call.retry_after_ms, 0);
  EXPECT_NE(status.message().find("1 calls wait for compute; retry in"), absl::string_view::npos) << status;
  stop = true;
  for (std::thread& caller : callers) caller.join();
}

TEST(Waiting, ADrainRefusesEveryNewCall) {
  const TinyApp tiny;
  EXPECT_TRUE(tiny.app->Ready().ok());
  tiny.app->Drain();
  CallContext call;
  EXPECT_TRUE(absl::IsUnavailable(Encode(*tiny.app, call)));
  v1::ListModelsResponse models;
  EXPECT_TRUE(absl::IsUnavailable(tiny.app->ListModels({}, models)));
  EXPECT_TRUE(absl::IsUnavailable(tiny.app->Ready()));
}

TEST(Waiting, ManyCallersAtOnceAllGetTheSameNumbers) {
  AppOptions options = TinyApp::SmallOptions();
  options.worker_count = 2;
  options.max_queued_calls = 64;
  const TinyApp tiny(options);
  std::vector<v1::EncodeResponse> responses(8);
  std::vector<std::thread> callers;
  for (v1::EncodeResponse& response : responses) {
    callers.emplace_back([&tiny, &response] {
      CallContext call;
      EXPECT_TRUE(tiny.app->Encode(TinyEncode(), call, response).ok());
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const v1::EncodeResponse& response : responses) {
    EXPECT_EQ(response.features(0).SerializeAsString(), responses[0].features(0).SerializeAsString());
  }
  EXPECT_EQ(tiny.StoredRunCount(), 8);
}

TEST(Waiting, OptionsAreCheckedByName) {
  AppOptions options;
  EXPECT_TRUE(options.Validate().ok());
  options.worker_count = 0;
  EXPECT_EQ(options.Validate(), absl::InvalidArgumentError("worker_count: 0, expected at least 1"));
}

}  // namespace
}  // namespace lifescope
