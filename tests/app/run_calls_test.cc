// The four calls that run, against a real model and a real database.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "server/app/app.h"
#include "server/app/plan.h"
#include "server/intervention/engine.h"
#include "server/runtime/registry.h"
#include "tests/app/tiny_home.h"

namespace lifescope {
namespace {

at::Tensor ToTensor(const v1::Tensor& message) {
  std::vector<int64_t> shape(message.shape().begin(), message.shape().end());
  const at::ScalarType type = message.data_type() == v1::DATA_TYPE_FLOAT64   ? at::kDouble
                              : message.data_type() == v1::DATA_TYPE_FLOAT32 ? at::kFloat
                              : message.data_type() == v1::DATA_TYPE_INT64   ? at::kLong
                                                                             : at::kInt;
  at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(type));
  EXPECT_EQ(tensor.nbytes(), message.data().size());
  std::memcpy(tensor.data_ptr(), message.data().data(), std::min(tensor.nbytes(), message.data().size()));
  return tensor;
}

template <typename Request, typename Response>
absl::Status Ask(App& app, absl::Status (App::*method)(const Request&, CallContext&, Response&), const Request& request,
                 Response& response) {
  CallContext call;
  call.principal = "tester";
  return (app.*method)(request, call, response);
}

TEST(RunCalls, ARunGivesEveryReadOfEveryRun) {
  const TinyApp tiny;
  v1::RunResponse response;
  ASSERT_TRUE(Ask(*tiny.app, &App::Run, TinyRun(), response).ok());
  ASSERT_EQ(response.result().clean_size(), 2);
  ASSERT_EQ(response.result().interventions_size(), 1);
  ASSERT_EQ(response.result().interventions(0).documents_size(), 2);
  const at::Tensor resid = ToTensor(response.result().clean(0).values(0).tensor());
  EXPECT_EQ(resid.sizes(), (std::vector<int64_t>{1, 16}));
  const at::Tensor log_probability = ToTensor(response.result().clean(1).values(1).tensor());
  EXPECT_EQ(log_probability.sizes(), std::vector<int64_t>{TinyPersonLength(1)});
  EXPECT_TRUE((log_probability < 0).all().item<bool>());
}

TEST(RunCalls, TheAnswerIsWhatTheEngineSays) {
  const TinyApp tiny;
  v1::RunResponse response;
  ASSERT_TRUE(Ask(*tiny.app, &App::Run, TinyRun(), response).ok());
  const Registry registry = Registry::Load(TinyHome(), at::kCPU);
  const auto plan = PlanRun(TinyRun().run(), registry);
  ASSERT_TRUE(plan.ok());
  const RunResult expected = Execute(plan->run, *plan->model->transformer);
  for (int document = 0; document < 2; ++document) {
    const at::Tensor value =
        std::get<at::Tensor>(expected.interventions.at(0).documents.at(document).values.at(1).value);
    const at::Tensor sent = ToTensor(response.result().interventions(0).documents(document).values(1).tensor());
    EXPECT_TRUE(at::allclose(sent, value, 1e-5, 1e-6));
  }
}

TEST(RunCalls, ProvenanceNamesWhatWasUsed) {
  const TinyApp tiny;
  v1::RunResponse response;
  ASSERT_TRUE(Ask(*tiny.app, &App::Run, TinyRun(), response).ok());
  const Registry registry = Registry::Load(TinyHome(), at::kCPU);
  const v1::Provenance& provenance = response.provenance();
  EXPECT_EQ(provenance.model_digest(), registry.Model("").digest);
  ASSERT_EQ(provenance.dictionary_digests_size(), 1);
  EXPECT_EQ(provenance.dictionary_digests(0), registry.Dictionary("", "").digest);
  ASSERT_EQ(provenance.corpus_digests_size(), 1);
  EXPECT_EQ(provenance.corpus_digests(0), registry.Corpus("").digest);
  EXPECT_EQ(provenance.n_slots(), kTinyMaxLength);
  EXPECT_EQ(provenance.precision(), v1::PRECISION_FLOAT32);
  EXPECT_EQ(provenance.principal(), "tester");
  EXPECT_EQ(provenance.thread_count(), 1);
  EXPECT_FALSE(provenance.software_version().empty());
  EXPECT_FALSE(provenance.blas().empty());
  EXPECT_GT(provenance.duration_ms(), 0);
  EXPECT_GT(provenance.created_at().seconds(), 0);
}

TEST(RunCalls, Float64RunsUseTheAuditArtefacts) {
  const TinyApp tiny;
  v1::RunResponse coarse, fine;
  v1::RunRequest request = TinyRun();
  ASSERT_TRUE(Ask(*tiny.app, &App::Run, request, coarse).ok());
  request.mutable_run()->set_precision(v1::PRECISION_FLOAT64);
  const absl::Status status = Ask(*tiny.app, &App::Run, request, fine);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(fine.provenance().precision(), v1::PRECISION_FLOAT64);
  const at::Tensor a = ToTensor(coarse.result().clean(0).values(1).tensor());
  const at::Tensor b = ToTensor(fine.result().clean(0).values(1).tensor());
  EXPECT_EQ(b.scalar_type(), at::kDouble);
  EXPECT_TRUE(at::allclose(a.to(at::kDouble), b, 1e-3, 1e-4));
  EXPECT_FALSE(at::equal(a.to(at::kDouble), b)) << "the float32 numbers were sent as float64";
}

TEST(RunCalls, EncodeGivesTheFeaturesOfEveryPosition) {
  const TinyApp tiny;
  v1::EncodeRequest request = TinyEncode();
  *request.add_documents() = TinyPerson(1);
  v1::EncodeResponse response;
  ASSERT_TRUE(Ask(*tiny.app, &App::Encode, request, response).ok());
  ASSERT_EQ(response.features_size(), 2);
  for (int i = 0; i < 2; ++i) {
    const v1::SparseFeatures& features = response.features(i);
    const at::Tensor offsets = ToTensor(features.row_offsets());
    EXPECT_EQ(offsets.size(0), TinyPersonLength(i) + 1);
    EXPECT_EQ(ToTensor(features.positions()).size(0), TinyPersonLength(i));
    EXPECT_EQ(ToTensor(features.features()).size(0), offsets[-1].item<int64_t>());
    EXPECT_GT(offsets[-1].item<int64_t>(), 0) << "no feature fires at all: the fixture tests nothing";
    EXPECT_TRUE((ToTensor(features.values()) != 0).all().item<bool>());
    EXPECT_EQ(features.feature_count(), kTinyFeatures);
  }
}

TEST(RunCalls, EncodeReadsTheChosenPositions) {
  const TinyApp tiny;
  v1::EncodeRequest request = TinyEncode();
  request.mutable_positions()->add_indices(5);
  request.mutable_positions()->add_indices(2);
  v1::EncodeResponse response;
  ASSERT_TRUE(Ask(*tiny.app, &App::Encode, request, response).ok());
  EXPECT_TRUE(at::equal(ToTensor(response.features(0).positions()), at::tensor(std::vector<int64_t>{2, 5})));
}

TEST(RunCalls, AblationReportsTheMaskedPositionsAndTheMostChangedTokens) {
  const TinyApp tiny;
  v1::AblateFeaturesRequest request = TinyAblation();
  request.set_top_tokens(5);
  v1::AblateFeaturesResponse response;
  const absl::Status status = Ask(*tiny.app, &App::AblateFeatures, request, response);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(response.effects_size(), 1);
  EXPECT_EQ(response.effects(0).features_size(), 2);
  ASSERT_EQ(response.effects(0).positions_size(), 1);
  const v1::PositionEffect& effect = response.effects(0).positions(0);
  EXPECT_EQ(effect.position(), 4);
  EXPECT_GE(effect.kl(), 0);
  ASSERT_EQ(effect.tokens_size(), 5);
  double last = std::numeric_limits<double>::infinity();
  for (const v1::TokenEffect& token : effect.tokens()) {
    const double change = std::abs(token.ablated_log_probability() - token.clean_log_probability());
    EXPECT_LE(change, last);
    EXPECT_FALSE(token.token().empty());
    last = change;
  }
}

TEST(RunCalls, TheKlOfAnAblationIsThatOfItsDistributions) {
  const TinyApp tiny;
  v1::AblateFeaturesRequest request = TinyAblation();
  request.set_kind(v1::ABLATION_KIND_SET);
  request.set_value(20);
  request.set_top_tokens(100);
  v1::AblateFeaturesResponse response;
  ASSERT_TRUE(Ask(*tiny.app, &App::AblateFeatures, request, response).ok());
  const v1::PositionEffect& effect = response.effects(0).positions(0);
  EXPECT_GT(effect.kl(), 1e-6) << "a strong edit must move the answer";
  v1::RunRequest run;
  *run.mutable_run()->add_documents() = request.document();
  v1::Edit& edit = *run.mutable_run()->add_interventions()->add_edits();
  edit.mutable_features()->add_features(3);
  edit.mutable_features()->add_features(7);
  edit.mutable_set()->add_values(20);
  v1::Read& read = *run.mutable_run()->add_reads();
  read.mutable_mlm_logits();
  read.mutable_positions()->add_indices(4);
  v1::RunResponse dense;
  ASSERT_TRUE(Ask(*tiny.app, &App::Run, run, dense).ok());
  const auto log_probabilities = [](const v1::DocumentResult& document) {
    return at::log_softmax(ToTensor(document.values(0).tensor()).to(at::kDouble), 1);
  };
  const at::Tensor clean = log_probabilities(dense.result().clean(0));
  const at::Tensor edited = log_probabilities(dense.result().interventions(0).documents(0));
  const double kl = (clean.exp() * (clean - edited)).sum().item<double>();
  EXPECT_NEAR(effect.kl(), kl, 1e-5 + 1e-3 * kl);
  const v1::TokenEffect& token = effect.tokens(0);
  EXPECT_NEAR(token.ablated_log_probability(), edited[0][token.token_id()].item<double>(), 1e-4);
  EXPECT_NEAR(token.clean_log_probability(), clean[0][token.token_id()].item<double>(), 1e-4);
}

TEST(RunCalls, EachSeparatelyGivesOneEffectPerFeature) {
  const TinyApp tiny;
  v1::AblateFeaturesRequest request = TinyAblation();
  request.set_each_separately(true);
  v1::AblateFeaturesResponse response;
  ASSERT_TRUE(Ask(*tiny.app, &App::AblateFeatures, request, response).ok());
  ASSERT_EQ(response.effects_size(), 2);
  EXPECT_EQ(response.effects(0).features(0), 3);
  EXPECT_EQ(response.effects(1).features(0), 7);
  EXPECT_EQ(response.effects(1).features_size(), 1);
}

TEST(RunCalls, ScalingByOneChangesNothing) {
  const TinyApp tiny;
  v1::AblateFeaturesRequest request = TinyAblation();
  request.set_kind(v1::ABLATION_KIND_SCALE);
  request.set_value(1);
  v1::AblateFeaturesResponse response;
  ASSERT_TRUE(Ask(*tiny.app, &App::AblateFeatures, request, response).ok());
  for (const v1::TokenEffect& token : response.effects(0).positions(0).tokens()) {
    EXPECT_EQ(token.clean_logit(), token.ablated_logit());
  }
}

TEST(RunCalls, MeanAblationRunsAndReadsEveryPositionWithoutMask) {
  const TinyApp tiny;
  v1::AblateFeaturesRequest request = TinyAblation();
  request.mutable_document()->clear_mask_positions();
  request.set_kind(v1::ABLATION_KIND_MEAN);
  v1::AblateFeaturesResponse response;
  ASSERT_TRUE(Ask(*tiny.app, &App::AblateFeatures, request, response).ok());
  EXPECT_EQ(response.effects(0).positions_size(), TinyPersonLength(0));
}

TEST(RunCalls, PatchingTheWholeDonorGivesTheDonorsAnswer) {
  const TinyApp tiny;
  v1::PatchActivationsRequest request = TinyPatch();
  // The same life with one masked position in the corrupted one: both have the same length.
  *request.mutable_corrupted() = request.clean();
  request.mutable_corrupted()->add_mask_positions(4);
  request.mutable_targets(0)->clear_positions();
  for (const auto direction : {v1::PATCH_DIRECTION_DENOISING, v1::PATCH_DIRECTION_NOISING}) {
    request.set_direction(direction);
    v1::PatchActivationsResponse response;
    const absl::Status status = Ask(*tiny.app, &App::PatchActivations, request, response);
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_EQ(response.effects_size(), 1);
    ASSERT_GT(std::abs(response.metric_clean() - response.metric_corrupted()), 1e-4);
    const bool denoising = direction == v1::PATCH_DIRECTION_DENOISING;
    ASSERT_TRUE(response.effects(0).has_normalized());
    EXPECT_NEAR(response.effects(0).normalized(), denoising ? 1 : 0, 1e-2);
    EXPECT_NEAR(response.effects(0).metric_patched(), denoising ? response.metric_clean() : response.metric_corrupted(),
                1e-4);
  }
}

TEST(RunCalls, WithoutADifferenceNothingIsNormalised) {
  const TinyApp tiny;
  v1::PatchActivationsRequest request = TinyPatch();
  *request.mutable_corrupted() = request.clean();
  v1::PatchActivationsResponse response;
  ASSERT_TRUE(Ask(*tiny.app, &App::PatchActivations, request, response).ok());
  EXPECT_FALSE(response.effects(0).has_normalized());
  EXPECT_NEAR(response.metric_clean(), response.metric_corrupted(), 1e-5);
}

TEST(RunCalls, EveryTargetIsARunOfItsOwn) {
  const TinyApp tiny;
  v1::PatchActivationsRequest request = TinyPatch();
  request.add_targets()->mutable_head()->set_head(1);
  request.add_targets()->mutable_neurons()->add_neurons(5);
  v1::PatchTarget& features = *request.add_targets();
  features.mutable_features()->add_features(2);
  features.set_error_mode(v1::ERROR_MODE_REPLACE);
  v1::PatchActivationsResponse response;
  const absl::Status status = Ask(*tiny.app, &App::PatchActivations, request, response);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(response.effects_size(), 4);
}

TEST(RunCalls, AFailedRunIsNotStored) {
  const TinyApp tiny;
  v1::EncodeRequest request = TinyEncode();
  request.set_n_slots(1);
  v1::EncodeResponse response;
  EXPECT_TRUE(absl::IsInvalidArgument(Ask(*tiny.app, &App::Encode, request, response)));
  EXPECT_EQ(tiny.StoredRunCount(), 0);
}

}  // namespace
}  // namespace lifescope
