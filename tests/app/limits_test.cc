// What one call may ask for.
#include "server/app/limits.h"

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

TEST(Limits, EveryKindOfReadCountsWhatItGives) {
  const Registry registry = Registry::Load(TinyHome(), at::kCPU);
  v1::Run run;
  *run.add_documents() = TinyPerson(0);
  run.add_reads()->mutable_sop_logits();
  absl::StatusOr<Plan> plan = PlanRun(run, registry);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const int64_t length = TinyPersonLength(0);
  const HookPoint point = HookPoint::Parse(kTinyHook);
  const auto values = [&](ReadKind kind) {
    plan->run.reads = {{"", std::move(kind), {}, {}}};
    return DenseReadBytes(*plan) / 4;
  };
  EXPECT_EQ(values(lifescope::SopLogitsRead{}), 3);
  EXPECT_EQ(values(lifescope::ActivationRead{point}), length * 16);
  EXPECT_EQ(values(lifescope::MlmLogitsRead{}), length * registry.Model("").vocabulary->size());
  EXPECT_EQ(values(lifescope::LogitLensRead{point, {}}), length * registry.Model("").vocabulary->size());
  EXPECT_EQ(values(lifescope::LogitLensRead{point, {4, 5}}), length * 2);
  EXPECT_EQ(values(lifescope::AttentionRead{1, 2}), length * (length + 1));
  EXPECT_EQ(values(lifescope::ShiftRead{point}), length * 2);
  EXPECT_EQ(values(lifescope::KlToCleanRead{}), length);
  EXPECT_EQ(values(lifescope::CrossEntropyRead{{{3, 12}, {4, 12}, {3, 13}}}), 3);
  // 2 layers of 4 heads: 4 embeddings, 2 x (attention + MLP) or 2 x (4 heads + bias + MLP), edits; and 3 more.
  lifescope::DirectLogitRead direct;
  EXPECT_EQ(values(direct), length * (4 + 2 * 2 + 1 + 3));
  direct.components = lifescope::DirectLogitRead::Components::kHeads;
  EXPECT_EQ(values(direct), length * (4 + 2 * 6 + 1 + 3));
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
