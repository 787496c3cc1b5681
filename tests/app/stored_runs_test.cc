// Every answer is stored once, and found again.
#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

#include "server/app/app.h"
#include "tests/app/tiny_home.h"

namespace lifescope {
namespace {

absl::Status Encode(App& app, const v1::EncodeRequest& request, v1::EncodeResponse& response,
                    const std::string& principal = "tester") {
  CallContext call;
  call.principal = principal;
  return app.Encode(request, call, response);
}

v1::EncodeRequest Named(const std::string& request_id) {
  v1::EncodeRequest request = TinyEncode();
  request.set_request_id(request_id);
  return request;
}

TEST(StoredRuns, TheSameRequestTwiceIsOneRun) {
  const TinyApp tiny;
  v1::EncodeResponse first, second;
  ASSERT_TRUE(Encode(*tiny.app, Named("a"), first).ok());
  ASSERT_TRUE(Encode(*tiny.app, Named("a"), second).ok());
  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
  EXPECT_EQ(tiny.StoredRunCount(), 1);
}

TEST(StoredRuns, AnotherRequestOfTheSameIdAlreadyExists) {
  const TinyApp tiny;
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(*tiny.app, Named("a"), response).ok());
  v1::EncodeRequest other = Named("a");
  other.mutable_positions()->set_cls(true);
  const absl::Status status = Encode(*tiny.app, other, response);
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_NE(status.message().find("request_id: 'a' was used with another request"), absl::string_view::npos);
  EXPECT_EQ(tiny.StoredRunCount(), 1);
}

TEST(StoredRuns, AnotherKindOfTheSameIdAlreadyExists) {
  const TinyApp tiny;
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(*tiny.app, Named("a"), response).ok());
  v1::RunRequest run = TinyRun();
  run.set_request_id("a");
  CallContext call;
  call.principal = "tester";
  v1::RunResponse run_response;
  EXPECT_TRUE(absl::IsAlreadyExists(tiny.app->Run(run, call, run_response)));
}

TEST(StoredRuns, RequestIdsAreThePrincipalsOwn) {
  const TinyApp tiny;
  v1::EncodeResponse mine, theirs;
  ASSERT_TRUE(Encode(*tiny.app, Named("a"), mine, "me").ok());
  ASSERT_TRUE(Encode(*tiny.app, Named("a"), theirs, "them").ok());
  EXPECT_NE(mine.run_id(), theirs.run_id());
  EXPECT_EQ(tiny.StoredRunCount(), 2);
}

TEST(StoredRuns, WithoutARequestIdEveryCallIsARun) {
  const TinyApp tiny;
  v1::EncodeResponse first, second;
  ASSERT_TRUE(Encode(*tiny.app, TinyEncode(), first).ok());
  ASSERT_TRUE(Encode(*tiny.app, TinyEncode(), second).ok());
  EXPECT_NE(first.run_id(), second.run_id());
  EXPECT_EQ(tiny.StoredRunCount(), 2);
}

TEST(StoredRuns, ARaceOfOneRequestIdIsOneRun) {
  AppOptions options = TinyApp::SmallOptions();
  options.worker_count = 2;
  options.max_queued_calls = 16;
  const TinyApp tiny(options);
  std::vector<v1::EncodeResponse> responses(6);
  std::vector<std::thread> callers;
  for (v1::EncodeResponse& response : responses) {
    callers.emplace_back([&] {
      const absl::Status status = Encode(*tiny.app, Named("race"), response);
      EXPECT_TRUE(status.ok()) << status;
    });
  }
  for (std::thread& caller : callers) caller.join();
  std::set<std::string> ids;
  for (const v1::EncodeResponse& response : responses) ids.insert(response.run_id());
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_EQ(tiny.StoredRunCount(), 1);
}

TEST(StoredRuns, GetRunGivesRequestAndAnswerAsTheyWere) {
  const TinyApp tiny;
  v1::EncodeResponse encoded;
  ASSERT_TRUE(Encode(*tiny.app, Named("a"), encoded).ok());
  v1::GetRunRequest request;
  request.set_run_id(encoded.run_id());
  v1::GetRunResponse stored;
  ASSERT_TRUE(tiny.app->GetRun(request, stored).ok());
  EXPECT_EQ(stored.encode().SerializeAsString(), Named("a").SerializeAsString());
  EXPECT_EQ(stored.encode_response().SerializeAsString(), encoded.SerializeAsString());
  EXPECT_EQ(stored.summary().request_id(), "a");
  EXPECT_EQ(stored.summary().kind(), v1::RUN_KIND_ENCODE);
  EXPECT_EQ(stored.summary().model(), "tiny");
  EXPECT_EQ(stored.summary().provenance().SerializeAsString(), encoded.provenance().SerializeAsString());
  EXPECT_EQ(stored.summary().request_bytes(), static_cast<int64_t>(Named("a").ByteSizeLong()));
}

TEST(StoredRuns, EveryKindIsReadBack) {
  const TinyApp tiny;
  CallContext call;
  v1::RunResponse run;
  v1::AblateFeaturesResponse ablation;
  v1::PatchActivationsResponse patch;
  ASSERT_TRUE(tiny.app->Run(TinyRun(), call, run).ok());
  ASSERT_TRUE(tiny.app->AblateFeatures(TinyAblation(), call, ablation).ok());
  ASSERT_TRUE(tiny.app->PatchActivations(TinyPatch(), call, patch).ok());
  const auto get = [&](const std::string& id) {
    v1::GetRunRequest request;
    request.set_run_id(id);
    v1::GetRunResponse response;
    EXPECT_TRUE(tiny.app->GetRun(request, response).ok());
    return response;
  };
  EXPECT_EQ(get(run.run_id()).run_response().SerializeAsString(), run.SerializeAsString());
  EXPECT_EQ(get(ablation.run_id()).ablate_features_response().SerializeAsString(), ablation.SerializeAsString());
  EXPECT_EQ(get(patch.run_id()).patch_activations_response().SerializeAsString(), patch.SerializeAsString());
}

TEST(StoredRuns, RunsSurviveTheServer) {
  v1::EncodeResponse encoded;
  std::string url;
  {
    const TinyApp tiny;
    url = tiny.store_url;
    ASSERT_TRUE(Encode(*tiny.app, Named("a"), encoded).ok());
  }
  const auto store = OpenStore(url);
  ASSERT_TRUE(store.ok());
  EXPECT_EQ((*store)->GetRun(encoded.run_id())->result, encoded.SerializeAsString());
}

TEST(StoredRuns, ListsAreNewestFirstInPagesAndByKind) {
  const TinyApp tiny;
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) {
    v1::EncodeResponse response;
    ASSERT_TRUE(Encode(*tiny.app, TinyEncode(), response).ok());
    ids.push_back(response.run_id());
  }
  v1::ListRunsRequest request;
  request.set_page_size(2);
  v1::ListRunsResponse first, second;
  ASSERT_TRUE(tiny.app->ListRuns(request, first).ok());
  ASSERT_EQ(first.runs_size(), 2);
  EXPECT_EQ(first.runs(0).run_id(), ids[2]);
  request.set_page_token(first.next_page_token());
  ASSERT_TRUE(tiny.app->ListRuns(request, second).ok());
  ASSERT_EQ(second.runs_size(), 1);
  EXPECT_EQ(second.runs(0).run_id(), ids[0]);
  EXPECT_TRUE(second.next_page_token().empty());
  request.clear_page_token();
  request.set_kind(v1::RUN_KIND_PATCH_ACTIVATIONS);
  v1::ListRunsResponse none;
  ASSERT_TRUE(tiny.app->ListRuns(request, none).ok());
  EXPECT_EQ(none.runs_size(), 0);
}

TEST(StoredRuns, AMissingRunIsNotFound) {
  const TinyApp tiny;
  v1::GetRunRequest request;
  v1::GetRunResponse response;
  EXPECT_TRUE(absl::IsNotFound(tiny.app->GetRun(request, response)));
  request.set_run_id("3f2b8c1e-0000-4000-8000-000000000000");
  EXPECT_TRUE(absl::IsNotFound(tiny.app->GetRun(request, response)));
  request.set_run_id(std::string("a\0b", 3));
  EXPECT_TRUE(absl::IsNotFound(tiny.app->GetRun(request, response)));
}

TEST(StoredRuns, AMalformedPageIsInvalid) {
  const TinyApp tiny;
  v1::ListRunsRequest request;
  v1::ListRunsResponse response;
  request.set_page_size(1001);
  EXPECT_EQ(tiny.app->ListRuns(request, response).message(), "page_size: 1001, expected 0 (50) to 1000");
  request.set_page_size(0);
  request.set_page_token("nonsense");
  EXPECT_TRUE(absl::IsInvalidArgument(tiny.app->ListRuns(request, response)));
  request.clear_page_token();
  request.set_kind(static_cast<v1::RunKind>(77));
  EXPECT_TRUE(absl::IsInvalidArgument(tiny.app->ListRuns(request, response)));
}

}  // namespace
}  // namespace lifescope
