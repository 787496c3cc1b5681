// Sweep and AlignDocuments against a real model and a real database.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "server/app/app.h"
#include "tests/app/tiny_home.h"

namespace lifescope {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// TinyPatch's two lives and its metric.
v1::SweepRequest TinySweep() {
  const v1::PatchActivationsRequest patch = TinyPatch();
  v1::SweepRequest request;
  *request.mutable_clean() = patch.clean();
  *request.mutable_corrupted() = patch.corrupted();
  request.set_direction(v1::PATCH_DIRECTION_DENOISING);
  request.mutable_metric()->mutable_logit_difference()->set_position(patch.metric().position());
  request.mutable_metric()->mutable_logit_difference()->set_token_a(patch.metric().token_a());
  request.mutable_metric()->mutable_logit_difference()->set_token_b(patch.metric().token_b());
  return request;
}

struct Swept {
  absl::Status status;
  std::vector<v1::SweepPart> parts;

  const v1::SweepResponse& response() const { return parts.back().response(); }
};

Swept Sweep(const TinyApp& tiny, const v1::SweepRequest& request) {
  Swept swept;
  CallContext call;
  swept.status = tiny.app->Sweep(request, call, [&](const v1::SweepPart& part) {
    swept.parts.push_back(part);
    return true;
  });
  return swept;
}

TEST(Sweep, CellsAreThoseOfPatching) {
  const TinyApp tiny;
  v1::SweepRequest request = TinySweep();
  request.set_grid(v1::SWEEP_GRID_LAYER_BY_POSITION);
  request.set_site("hook_resid_pre");
  const Swept swept = Sweep(tiny, request);
  ASSERT_TRUE(swept.status.ok()) << swept.status;
  ASSERT_TRUE(swept.parts.front().has_header());
  const v1::SweepResponse& response = swept.response();
  ASSERT_GT(response.cells_size(), 3);
  EXPECT_EQ(response.header().cell_count(), response.cells_size());
  EXPECT_EQ(response.header().rows(1), "blocks.1.hook_resid_pre");

  v1::PatchActivationsRequest patch = TinyPatch();
  patch.clear_targets();
  for (const int i : {0, 3, response.cells_size() - 1}) {
    v1::PatchTarget& target = *patch.add_targets();
    target.mutable_activation()->set_hook_point(response.header().rows(response.cells(i).row()));
    target.mutable_positions()->add_indices(response.cells(i).column());
  }
  CallContext call;
  v1::PatchActivationsResponse patched;
  const absl::Status status = tiny.app->PatchActivations(patch, call, patched);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_NEAR(response.header().metric_clean(), patched.metric_clean(), 1e-5);
  int next = 0;
  for (const int i : {0, 3, response.cells_size() - 1}) {
    EXPECT_NEAR(response.cells(i).metric(), patched.effects(next).metric_patched(), 1e-5);
    EXPECT_NEAR(response.cells(i).normalized(), patched.effects(next).normalized(), 1e-3);
    ++next;
  }
}

TEST(Sweep, IsStoredOnceAndServedAgain) {
  const TinyApp tiny;
  v1::SweepRequest request = TinySweep();
  request.set_request_id("sweep-1");
  request.set_grid(v1::SWEEP_GRID_LAYER_BY_HEAD);
  const Swept first = Sweep(tiny, request);
  ASSERT_TRUE(first.status.ok()) << first.status;
  EXPECT_GT(first.parts.size(), 2u);
  EXPECT_GT(first.response().layer_passes(), 0);
  EXPECT_GT(first.response().shared_layer_passes(), 0);
  const Swept again = Sweep(tiny, request);
  ASSERT_EQ(again.parts.size(), 1u);
  EXPECT_EQ(again.response().SerializeAsString(), first.response().SerializeAsString());
  EXPECT_EQ(tiny.StoredRunCount(), 1);
  v1::GetRunRequest get;
  get.set_run_id(first.response().run_id());
  v1::GetRunResponse stored;
  ASSERT_TRUE(tiny.app->GetRun(get, stored).ok());
  EXPECT_EQ(stored.sweep_response().SerializeAsString(), first.response().SerializeAsString());
}

TEST(Sweep, GoesOnFromACell) {
  const TinyApp tiny;
  v1::SweepRequest request = TinySweep();
  request.set_grid(v1::SWEEP_GRID_LAYER_BY_EVENT);
  request.set_alignment(v1::ALIGNMENT_RULE_EVENT_NUMBER);
  const Swept whole = Sweep(tiny, request);
  ASSERT_TRUE(whole.status.ok()) << whole.status;
  const int count = whole.response().cells_size();
  ASSERT_GT(count, 4);
  request.set_first_cell(count - 3);
  const Swept rest = Sweep(tiny, request);
  ASSERT_EQ(rest.response().cells_size(), 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(rest.response().cells(i).column(), whole.response().cells(count - 3 + i).column());
    EXPECT_NEAR(rest.response().cells(i).metric(), whole.response().cells(count - 3 + i).metric(), 1e-5);
  }
}

TEST(Sweep, ControlsGivePAndQ) {
  const TinyApp tiny;
  v1::SweepRequest request = TinySweep();
  request.set_grid(v1::SWEEP_GRID_LAYER_BY_HEAD);
  request.set_control_count(19);
  request.set_seed(3);
  const Swept swept = Sweep(tiny, request);
  ASSERT_TRUE(swept.status.ok()) << swept.status;
  const v1::SweepResponse& response = swept.response();
  ASSERT_EQ(response.q_values_size(), response.cells_size());
  std::set<double> different;
  for (int i = 0; i < response.cells_size(); ++i) {
    const double p = response.cells(i).p_value();
    EXPECT_NEAR(p * 20, std::round(p * 20), 1e-9);
    EXPECT_GE(p, 0.05);
    EXPECT_LE(p, 1);
    EXPECT_GE(response.q_values(i), p);
    different.insert(p);
  }
  EXPECT_GT(different.size(), 1u);
  const Swept same = Sweep(tiny, request);
  for (int i = 0; i < response.cells_size(); ++i) {
    EXPECT_EQ(same.response().cells(i).p_value(), response.cells(i).p_value());
  }
}

TEST(Sweep, FeaturesAndNeuronsAreSetToZeroWithoutACorruptedLife) {
  const TinyApp tiny;
  v1::SweepRequest request = TinySweep();
  request.clear_corrupted();
  request.clear_direction();
  request.set_grid(v1::SWEEP_GRID_FEATURES);
  const Swept features = Sweep(tiny, request);
  ASSERT_TRUE(features.status.ok()) << features.status;
  EXPECT_GT(features.response().cells_size(), 0);
  EXPECT_THAT(features.response().header().columns(0), StartsWith("feature "));
  EXPECT_FALSE(features.response().cells(0).has_normalized());
  EXPECT_EQ(features.response().provenance().dictionary_digests_size(), 1);

  v1::RunRequest ablation;
  *ablation.mutable_run()->add_documents() = request.clean();
  v1::Edit& edit = *ablation.mutable_run()->add_interventions()->add_edits();
  edit.mutable_features()->add_features(std::stoi(features.response().header().columns(0).substr(8)));
  edit.mutable_zero();
  v1::Read& read = *ablation.mutable_run()->add_reads();
  read.mutable_logit_difference()->set_token_a(request.metric().logit_difference().token_a());
  read.mutable_logit_difference()->set_token_b(request.metric().logit_difference().token_b());
  read.mutable_positions()->add_indices(request.metric().logit_difference().position());
  CallContext call;
  v1::RunResponse ablated;
  ASSERT_TRUE(tiny.app->Run(ablation, call, ablated).ok());
  float metric = 0;
  const std::string& data = ablated.result().interventions(0).documents(0).values(0).tensor().data();
  ASSERT_EQ(data.size(), sizeof(metric));
  std::memcpy(&metric, data.data(), sizeof(metric));
  EXPECT_NEAR(features.response().cells(0).metric(), metric, 1e-5);

  request.set_grid(v1::SWEEP_GRID_NEURONS);
  request.set_layer(1);
  const Swept neurons = Sweep(tiny, request);
  ASSERT_TRUE(neurons.status.ok()) << neurons.status;
  EXPECT_EQ(neurons.response().header().rows(0), "blocks.1.mlp.hook_post");
  EXPECT_EQ(neurons.response().cells_size(), neurons.response().header().columns_size());
}

TEST(Sweep, ACallerWhoGoesAwayEndsItUnstored) {
  const TinyApp tiny;
  v1::SweepRequest request = TinySweep();
  request.set_grid(v1::SWEEP_GRID_LAYER_BY_POSITION);
  CallContext call;
  int parts = 0;
  const absl::Status status = tiny.app->Sweep(request, call, [&](const v1::SweepPart&) { return ++parts < 2; });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(tiny.StoredRunCount(), 0);
}

TEST(Sweep, FaultsAreNamedByTheRequestsOwnFields) {
  const TinyApp tiny;
  const auto message = [&](const v1::SweepRequest& request) {
    return std::string(Sweep(tiny, request).status.message());
  };
  v1::SweepRequest request = TinySweep();
  request.clear_direction();
  EXPECT_THAT(message(request), StartsWith("direction: 0, expected DENOISING or NOISING"));
  request = TinySweep();
  request.set_site("hook_nothing");
  EXPECT_THAT(message(request), StartsWith("site: "));
  request = TinySweep();
  request.set_site("mlp.hook_post");
  EXPECT_THAT(message(request), HasSubstr("expected a hook point of the blocks as wide as the stream"));
  request = TinySweep();
  request.add_layers(9);
  EXPECT_THAT(message(request), StartsWith("layers: 9, expected 0 <= layer < "));
  request = TinySweep();
  request.set_grid(v1::SWEEP_GRID_NEURONS);
  request.set_control_count(5);
  EXPECT_THAT(message(request), StartsWith("control_count: set, expected 0"));
  request = TinySweep();
  request.mutable_corrupted()->mutable_person()->set_person_id(-5);
  EXPECT_THAT(message(request), StartsWith("corrupted"));
  request = TinySweep();
  request.mutable_metric()->mutable_logit_difference()->set_token_a("NONE");
  EXPECT_THAT(message(request), StartsWith("metric.logit_difference.token_a: "));
}

TEST(AlignDocuments, PairsTwoPersons) {
  const TinyApp tiny;
  v1::AlignDocumentsRequest request;
  *request.mutable_base() = TinyPerson(0);
  *request.mutable_donor() = TinyPerson(1);
  request.set_rule(v1::ALIGNMENT_RULE_EVENT_NUMBER);
  v1::AlignDocumentsResponse response;
  ASSERT_TRUE(tiny.app->AlignDocuments(request, response).ok());
  EXPECT_EQ(response.base_positions_size() + response.base_only_size(), TinyPersonLength(0));
  EXPECT_EQ(response.donor_positions_size() + response.donor_only_size(), TinyPersonLength(1));
  EXPECT_EQ(response.base_positions(0), 0);
  request.mutable_donor()->mutable_person()->set_person_id(-5);
  EXPECT_THAT(std::string(tiny.app->AlignDocuments(request, response).message()), StartsWith("donor"));
}

}  // namespace
}  // namespace lifescope
