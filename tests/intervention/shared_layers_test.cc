// Edited runs that go on from the clean run give what they give from the tokens on, and compute less.
#include <gtest/gtest.h>

#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

constexpr char kFinal[] = "blocks.3.hook_resid_post";

RunResult FromTheTokens(const Run& run) {
  ExecuteOptions options;
  options.shared_bytes = 0;
  return Execute(run, DeepModel(), options);
}

// An edit at every site of every layer, of a head, of neurons, of features.
Run Sweep() {
  lifescope::Run run = DeepRun();
  for (const HookPoint& point : AllHookPoints(DeepModel().hyperparameters())) {
    if (RowKindOf(point.site) != RowKind::kToken) continue;
    AddIntervention(&run, {MakeEdit(ActivationTarget{point}, Scale{0.5}, At({4, 6}))});
  }
  AddIntervention(&run, {MakeEdit(HeadTarget{2, 3}, Zero{})});
  AddIntervention(&run, {MakeEdit(NeuronTarget{3, {1, 9}}, Donor{1, {}}, {}, {0, 2})});
  AddIntervention(&run, {MakeEdit(FeatureTarget{0, {2, 7}}, SetTo{{3}}), MakeEdit(HeadTarget{3, 0}, Mean{{1}})});
  return run;
}

TEST(SharedLayers, ResultsAreTheSameToTheBit) {
  lifescope::Run run = Sweep();
  const int64_t final = AddActivationRead(&run, kFinal);
  const int64_t kl = AddRead(&run, KlToCleanRead{}, At({5}));
  const RunResult shared = Execute(run, DeepModel()), whole = FromTheTokens(run);
  EXPECT_GT(shared.shared_layer_passes, 0);
  EXPECT_EQ(whole.shared_layer_passes, 0);
  for (size_t i = 0; i < run.interventions.size(); ++i) {
    for (size_t d = 0; d < shared.interventions[i].documents.size(); ++d) {
      for (const int64_t read : {final, kl}) {
        EXPECT_TRUE(SameBits(TensorOf(shared.interventions[i].documents[d], read),
                             TensorOf(whole.interventions[i].documents[d], read)))
            << "intervention " << i;
      }
    }
  }
  run.deterministic = false;
  const RunResult batched = Execute(run, DeepModel());
  EXPECT_EQ(batched.shared_layer_passes, shared.shared_layer_passes);
  for (size_t i = 0; i < run.interventions.size(); ++i) {
    for (size_t d = 0; d < batched.interventions[i].documents.size(); ++d) {
      ExpectNear(TensorOf(batched.interventions[i].documents[d], final),
                 TensorOf(whole.interventions[i].documents[d], final), 1e-12);
    }
  }
}

// Runs with one edit of document 0 at the point: layers that the clean and the edited run compute.
int64_t LayerPasses(const std::string& point, ReadKind read) {
  lifescope::Run run = DeepRun();
  AddRead(&run, std::move(read), {}, {0});
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(point)}, Zero{}, At({4}), {0})});
  return Execute(run, DeepModel()).layer_passes;
}

TEST(SharedLayers, ARunStartsAtItsFirstEditOrRead) {
  EXPECT_EQ(LayerPasses("hook_embed_age", SopLogitsRead{}), 4 + 4);
  EXPECT_EQ(LayerPasses("blocks.0.hook_resid_pre", SopLogitsRead{}), 4 + 4);
  EXPECT_EQ(LayerPasses("blocks.0.hook_resid_post", SopLogitsRead{}), 4 + 3);
  EXPECT_EQ(LayerPasses("blocks.2.hook_resid_pre", SopLogitsRead{}), 4 + 2);
  EXPECT_EQ(LayerPasses("blocks.2.mlp.hook_post", SopLogitsRead{}), 4 + 2);
  EXPECT_EQ(LayerPasses("blocks.3.hook_resid_post", SopLogitsRead{}), 4 + 0);
  EXPECT_EQ(LayerPasses("blocks.2.hook_resid_post", ActivationRead{Point("blocks.1.attn.hook_z")}), 2 + 1);
  EXPECT_EQ(LayerPasses("blocks.2.hook_resid_post", ActivationRead{Point("blocks.1.hook_resid_post")}), 2 + 0);
  EXPECT_EQ(LayerPasses("blocks.3.attn.hook_q", ActivationRead{Point("hook_embed")}), 0 + 0);
}

TEST(SharedLayers, ALayerSweepComputesTheRestOfEachRunAlone) {
  lifescope::Run run = DeepRun();
  AddRead(&run, SopLogitsRead{}, {}, {0});
  for (int64_t layer = 0; layer < 4; ++layer) {
    AddIntervention(&run, {MakeEdit(ActivationTarget{HookPoint{Site::kResidPost, layer}}, Zero{}, At({4}), {0})});
  }
  const RunResult shared = Execute(run, DeepModel());
  EXPECT_EQ(shared.layer_passes, 4 + 3 + 2 + 1 + 0);
  EXPECT_EQ(shared.shared_layer_passes, 1 + 2 + 3 + 4);
  EXPECT_EQ(FromTheTokens(run).layer_passes, 4 + 4 * 4);
}

TEST(SharedLayers, WithoutMemoryLeftARunStartsAtTheTokens) {
  lifescope::Run run = DeepRun();
  AddRead(&run, SopLogitsRead{}, {}, {0});
  for (const char* point : {"blocks.2.hook_resid_pre", "blocks.3.hook_resid_pre", "blocks.2.attn.hook_z"}) {
    AddIntervention(&run, {MakeEdit(ActivationTarget{Point(point)}, Zero{}, At({4}), {0})});
  }
  ExecuteOptions options;
  options.shared_bytes = 20 * 16 * 8;  // one stream of document 0
  const RunResult result = Execute(run, DeepModel(), options);
  EXPECT_EQ(result.layer_passes, 4 + 2 + 4 + 2);
  EXPECT_EQ(result.shared_layer_passes, 2 + 2);
}

}  // namespace
}  // namespace lifescope
