// A head's probabilities and person summary through a real server: patched in, read back, replayed from the store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/rpc/rpc_fixture.h"

namespace lifescope {
namespace {

TEST(HeadOverRpc, ADonorsPersonSummaryGivesTheDonorsProbabilities) {
  const TinyServer server;
  v1::RunRequest request;
  request.set_request_id("heads");
  v1::Run& run = *request.mutable_run();
  run.set_deterministic(true);
  *run.add_documents() = TinyPerson(1);
  *run.add_documents() = TinyPerson(2);
  v1::Edit& edit = *run.add_interventions()->add_edits();
  edit.mutable_activation()->set_hook_point("heads.tiny_head.hook_person_summary");
  edit.mutable_donor()->set_document(1);
  edit.add_documents(0);
  run.add_reads()->mutable_class_probability();
  v1::RunResponse response, again;
  grpc::ClientContext context, second;
  ASSERT_TRUE(server.runs->Run(&context, request, &response).ok());
  const auto probabilities = [](const v1::DocumentResult& result) { return result.values(0).tensor().data(); };
  EXPECT_EQ(probabilities(response.result().interventions(0).documents(0)), probabilities(response.result().clean(1)));
  EXPECT_NE(probabilities(response.result().clean(0)), probabilities(response.result().clean(1)));
  ASSERT_TRUE(server.runs->Run(&second, request, &again).ok());
  EXPECT_EQ(again.SerializeAsString(), response.SerializeAsString()) << "the stored answer";
}

}  // namespace
}  // namespace lifescope
