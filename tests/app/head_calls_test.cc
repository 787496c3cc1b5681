// Calls that read fine-tuned heads, against a real model and a real database.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "server/app/app.h"
#include "server/app/plan.h"
#include "server/runtime/registry.h"
#include "tests/app/tiny_home.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

constexpr char kSummary[] = "heads.tiny_head.hook_person_summary";

std::vector<float> Floats(const v1::Tensor& tensor) {
  std::vector<float> values(tensor.data().size() / sizeof(float));
  std::memcpy(values.data(), tensor.data().data(), tensor.data().size());
  return values;
}

// Two persons, read clean and with the first half of every layer-0 vector scaled.
v1::RunRequest HeadRun(const std::string& head) {
  v1::RunRequest request;
  v1::Run& run = *request.mutable_run();
  *run.add_documents() = TinyPerson(3);
  *run.add_documents() = TinyPerson(4);
  v1::Edit& edit = *run.add_interventions()->add_edits();
  edit.mutable_activation()->set_hook_point(kTinyHook);
  edit.mutable_scale()->set_factor(0.25);
  run.add_reads()->mutable_class_probability()->set_head(head);
  run.add_reads()->mutable_activation()->set_hook_point(kSummary);
  return request;
}

absl::Status Ask(const v1::RunRequest& request, v1::RunResponse& response) {
  const TinyApp tiny;
  CallContext call;
  return tiny.app->Run(request, call, response);
}

TEST(HeadCalls, ARunReadsClassProbabilitiesAndPersonSummaries) {
  v1::RunResponse response;
  const absl::Status status = Ask(HeadRun(""), response);
  ASSERT_TRUE(status.ok()) << status;
  for (int d = 0; d < 2; ++d) {
    const v1::Tensor& clean = response.result().clean(d).values(0).tensor();
    EXPECT_THAT(clean.shape(), testing::ElementsAre(1, 2));
    const std::vector<float> probabilities = Floats(clean);
    EXPECT_NEAR(probabilities[0] + probabilities[1], 1, 1e-6);
    EXPECT_THAT(response.result().clean(d).values(1).tensor().shape(), testing::ElementsAre(1, 16));
    const v1::DocumentResult& edited = response.result().interventions(0).documents(d);
    EXPECT_NE(Floats(edited.values(0).tensor()), probabilities);
  }
}

TEST(HeadCalls, ProvenanceHasTheHeadsDigestOnce) {
  v1::RunResponse response;
  ASSERT_TRUE(Ask(HeadRun("tiny_head"), response).ok());
  ASSERT_EQ(response.provenance().head_digests_size(), 1);
  const std::string digest = Registry::Load(TinyHome(), at::kCPU).Head("", "").digest;
  EXPECT_EQ(response.provenance().head_digests(0), digest);
  v1::RunRequest by_digest = HeadRun(digest);
  by_digest.mutable_run()->mutable_reads(1)->mutable_activation()->set_hook_point("heads." + digest +
                                                                                  ".hook_person_summary");
  v1::RunResponse same;
  const absl::Status status = Ask(by_digest, same);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(same.result().SerializeAsString(), response.result().SerializeAsString());
}

TEST(HeadCalls, OtherSlotsThanTheHeadsAreRefused) {
  v1::RunRequest request = HeadRun("tiny_head");
  request.mutable_run()->set_n_slots(kTinyMaxLength - 1);
  v1::RunResponse response;
  const absl::Status status = Ask(request, response);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr("head 'tiny_head' was trained with " + std::to_string(kTinyMaxLength) + " slots"));
}

TEST(HeadCalls, OnlyTheSummaryOfAHeadIsAHookPointInEitherPrecision) {
  for (const v1::Precision precision : {v1::PRECISION_FLOAT32, v1::PRECISION_FLOAT64}) {
    v1::RunRequest request = HeadRun("tiny_head");
    request.mutable_run()->set_precision(precision);
    request.mutable_run()->mutable_reads(1)->mutable_activation()->set_hook_point("heads.tiny_head.hook_pool_pattern");
    v1::RunResponse response;
    const absl::Status status = Ask(request, response);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("run.reads[1].activation.hook_point: "));
  }
}

TEST(HeadCalls, Float64RunsUseTheAuditHead) {
  v1::RunRequest request = HeadRun("");
  v1::RunResponse coarse, fine;
  ASSERT_TRUE(Ask(request, coarse).ok());
  request.mutable_run()->set_precision(v1::PRECISION_FLOAT64);
  const absl::Status status = Ask(request, fine);
  ASSERT_TRUE(status.ok()) << status;
  const v1::Tensor& tensor = fine.result().clean(0).values(0).tensor();
  EXPECT_EQ(tensor.data_type(), v1::DATA_TYPE_FLOAT64);
  double probability = 0;
  std::memcpy(&probability, tensor.data().data(), sizeof(double));
  EXPECT_NEAR(probability, Floats(coarse.result().clean(0).values(0).tensor())[0], 1e-4);
}

TEST(HeadCalls, WhatIsWrongIsNamed) {
  v1::RunResponse response;
  EXPECT_EQ(Ask(HeadRun("lungs"), response),
            absl::NotFoundError("run.reads[0].class_probability.head: no head 'lungs'; there are: tiny_head"));
  v1::RunRequest request = HeadRun("");
  request.mutable_run()->mutable_reads(1)->mutable_activation()->set_hook_point("heads.lungs.hook_person_summary");
  EXPECT_EQ(Ask(request, response),
            absl::NotFoundError("run.reads[1].activation.hook_point: no head 'lungs'; there are: tiny_head"));
  request = HeadRun("");
  request.mutable_run()->mutable_reads(1)->mutable_positions()->add_indices(0);
  const absl::Status status = Ask(request, response);
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("run.reads[1].positions: given, expected none"));
}

TEST(HeadCalls, AHeadOfAnotherModelDoesNotFit) {
  const std::string home = TinyHomeCopy();
  HeadDescription description = Registry::Load(home, at::kCPU).Head("", "").head->description();
  description.model_digest = "sha256:0";
  WriteHead(home + "/heads/foreign",
            ClassifierHead(description, InitializeDecoder("cls", DecoderShape{16, 0, 0, 2}, 1)));
  const Registry registry = Registry::Load(home, at::kCPU);
  const absl::Status status = PlanRun(HeadRun("foreign").run(), registry).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("run.reads[0].class_probability.head: head 'foreign' and model 'tiny' do not fit"));
  EXPECT_TRUE(PlanRun(HeadRun("").run(), registry).ok()) << "the model's only head is another";
}

TEST(HeadCalls, AblationSaysWhatTheHeadSaysBeforeAndAfter) {
  const TinyApp tiny;
  CallContext call;
  v1::AblateFeaturesRequest request = TinyAblation();
  request.set_head("tiny_head");
  request.set_kind(v1::ABLATION_KIND_SET);
  request.set_value(20);
  v1::AblateFeaturesResponse response;
  const absl::Status status = tiny.app->AblateFeatures(request, call, response);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(response.effects(0).classes_size(), 2);
  EXPECT_EQ(response.effects(0).classes(1).target(), "trait:illness=cardiac");
  EXPECT_EQ(response.effects(0).classes(1).class_name(), "cardiac");
  double clean = 0, ablated = 0;
  for (const v1::ClassEffect& entry : response.effects(0).classes()) {
    EXPECT_NE(entry.clean_probability(), entry.ablated_probability());
    clean += entry.clean_probability();
    ablated += entry.ablated_probability();
  }
  EXPECT_NEAR(clean, 1, 1e-6);
  EXPECT_NEAR(ablated, 1, 1e-6);
  EXPECT_EQ(response.provenance().head_digests_size(), 1);
  request.set_head("lungs");
  EXPECT_EQ(tiny.app->AblateFeatures(request, call, response),
            absl::NotFoundError("head: no head 'lungs'; there are: tiny_head"));
}

}  // namespace
}  // namespace lifescope
