// What one call may ask for.
#include <gtest/gtest.h>

#include "server/app/app.h"
#include "tests/app/tiny_home.h"

namespace lifescope {
namespace {

TEST(Limits, LimitsAreEnforcedBeforeCompute) {
  AppOptions options = TinyApp::SmallOptions();
  options.max_documents_per_run = 1;
  options.max_forwards_per_run = 3;
  options.max_message_bytes = 1 << 16;
  const TinyApp tiny(options);
  CallContext call;
  v1::RunResponse response;
  EXPECT_EQ(tiny.app->Run(TinyRun(), call, response).message(), "run.documents: 2, expected at most 1 per run");
  v1::AblateFeaturesRequest ablation = TinyAblation();
  ablation.set_each_separately(true);
  ablation.add_features(9);
  v1::AblateFeaturesResponse effects;
  EXPECT_EQ(tiny.app->AblateFeatures(ablation, call, effects).message(),
            "features: 1 documents x (1 + 3 interventions) = 4 forwards, expected at most 3 per run");
  v1::RunRequest dense = TinyRun();
  dense.mutable_run()->mutable_documents()->RemoveLast();
  dense.mutable_run()->mutable_reads(1)->mutable_mlm_logits();
  const absl::Status status = tiny.app->Run(dense, call, response);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_NE(status.message().find("run.reads: would give"), absl::string_view::npos) << status;
  EXPECT_EQ(tiny.StoredRunCount(), 0);
}

TEST(Limits, AnAnswerOverTheMessageLimitIsNotStored) {
  AppOptions options = TinyApp::SmallOptions();
  options.max_message_bytes = 1 << 16;
  const TinyApp tiny(options);
  CallContext call;
  v1::EncodeRequest request;
  for (int i = 0; i < 50; ++i) *request.add_documents() = TinyPerson(i);
  v1::EncodeResponse response;
  const absl::Status status = tiny.app->Encode(request, call, response);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_NE(status.message().find("bytes together, expected at most 65536"), absl::string_view::npos) << status;
  EXPECT_EQ(tiny.StoredRunCount(), 0);
}

}  // namespace
}  // namespace lifescope
