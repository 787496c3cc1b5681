// Dense edits: activations, heads, neurons.
#include <gtest/gtest.h>

#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

constexpr char kPost0[] = "blocks.0.hook_resid_post";
constexpr char kZ1[] = "blocks.1.attn.hook_z";
constexpr double kNear = 1e-5;

// The one edited tensor of a run with one intervention: document `document`, read `read`.
at::Tensor Edited(const RunResult& result, size_t document, int64_t read) {
  return TensorOf(result.interventions.at(0).documents.at(document), read);
}

TEST(DenseEdit, TouchesOnlyItsPositions) {
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, kPost0);
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kPost0)}, SetTo{{2.5}}, At({7, 3}))});
  const RunResult result = Execute(run, SmallModel());
  for (size_t d = 0; d < 3; ++d) {
    const at::Tensor expected = TensorOf(result.clean[d], read).clone();
    expected[3].fill_(2.5);
    expected[7].fill_(2.5);
    EXPECT_TRUE(SameBits(Edited(result, d, read), expected)) << "document " << d;
  }
}

TEST(DenseEdit, LaterLayersFollow) {
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, "blocks.1.hook_resid_post");
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kPost0)}, Zero{}, At({3}))});
  const RunResult result = Execute(run, SmallModel());
  const at::Tensor change = Edited(result, 0, read) - TensorOf(result.clean[0], read);
  EXPECT_GT(change.abs().max().item<double>(), 1e-3);
}

TEST(DenseEdit, EarlierLayersDoNotFollow) {
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, kPost0);
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point("blocks.1.hook_resid_mid")}, Zero{})});
  const RunResult result = Execute(run, SmallModel());
  EXPECT_TRUE(SameBits(Edited(result, 0, read), TensorOf(result.clean[0], read)));
}

TEST(DenseEdit, OneValuePerChannel) {
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, kZ1);
  std::vector<double> values(16);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kZ1)}, SetTo{values}, At({4}))});
  const at::Tensor z = Edited(Execute(run, SmallModel()), 1, read);
  EXPECT_TRUE(SameBits(z[4], at::arange(16, at::kFloat).view({4, 4})));
}

TEST(DenseEdit, AddAndScaleWorkOnThePresentValue) {
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, "blocks.1.mlp.hook_post");
  const EditTarget target = NeuronTarget{1, {30, 2}};
  AddIntervention(&run, {MakeEdit(target, Scale{3}), MakeEdit(target, Add{{1, 5}})});
  const RunResult result = Execute(run, SmallModel());
  const at::Tensor expected = TensorOf(result.clean[1], read).clone();
  expected.select(1, 30).mul_(3).add_(1);
  expected.select(1, 2).mul_(3).add_(5);
  EXPECT_TRUE(SameBits(Edited(result, 1, read), expected));
}

TEST(DenseEdit, EditsOfOneHookPointApplyInListOrder) {
  const EditTarget target = ActivationTarget{Point(kPost0)};
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, kPost0);
  AddIntervention(&run, {MakeEdit(target, SetTo{{1}}), MakeEdit(target, Add{{2}})});
  AddIntervention(&run, {MakeEdit(target, Add{{2}}), MakeEdit(target, SetTo{{1}})});
  const RunResult result = Execute(run, SmallModel());
  EXPECT_EQ(TensorOf(result.interventions[0].documents[0], read)[5][5].item<double>(), 3);
  EXPECT_EQ(TensorOf(result.interventions[1].documents[0], read)[5][5].item<double>(), 1);
}

TEST(DenseEdit, ZeroHeadSubtractsItsOutput) {
  lifescope::Run run = SmallRun();
  const int64_t z_read = AddActivationRead(&run, kZ1);
  const int64_t mid_read = AddActivationRead(&run, "blocks.1.hook_resid_mid");
  const BlockWeights& block = SmallModel().weights().blocks[1];
  for (const int64_t head : {0, 3}) {
    run.interventions.clear();
    AddIntervention(&run, {MakeEdit(HeadTarget{1, head}, Zero{})});
    const RunResult result = Execute(run, SmallModel());
    const at::Tensor z = TensorOf(result.clean[1], z_read).select(1, head);
    const at::Tensor output = z.matmul(block.w_o.narrow(1, head * 4, 4).t()) * block.gate_attention;
    EXPECT_GT(output.abs().max().item<double>(), 1e-3);
    ExpectNear(Edited(result, 1, mid_read), TensorOf(result.clean[1], mid_read) - output, kNear);
  }
}

// The final residual stream of a document with a hook.
at::Tensor FinalWith(const Document& d, const std::string& hook_point, const Hooks::Hook& hook) {
  Hooks hooks;
  hooks.Add(Point(hook_point), hook);
  ForwardOptions options;
  options.hooks = &hooks;
  const PackedBatch batch =
      MakePackedBatch({{d.token.data(), d.abspos.data(), d.age.data(), d.segment.data(), d.length(), 48}}, at::kCPU);
  return DeepModel().Forward(batch, options);
}

TEST(DenseEdit, HeadsCanBeEditedInWhatTheyRead) {
  for (const auto& [site, name] :
       {std::pair(Site::kQ, "hook_q"), {Site::kK, "hook_k"}, {Site::kV, "hook_v"}, {Site::kZ, "hook_z"}}) {
    for (const int64_t head : {1, 3}) {
      lifescope::Run run = DeepRun();
      const int64_t final = AddActivationRead(&run, "blocks.3.hook_resid_post");
      AddIntervention(&run, {MakeEdit(HeadTarget{1, head, site}, Scale{-2}, At({4, 7}), {1})});
      const RunResult result = Execute(run, DeepModel());
      const std::string point = std::string("blocks.1.attn.") + name;
      const at::Tensor expected = FinalWith(run.documents[1], point, [head = head](const at::Tensor& heads) {
        at::Tensor changed = heads.clone();
        for (const int64_t position : {4, 7}) changed[position][head] *= -2;
        return changed;
      });
      ExpectNear(Edited(result, 0, final), expected, 1e-12);
      EXPECT_GT((expected - TensorOf(result.clean[1], final)).abs().max().item<double>(), 1e-6) << point << head;
    }
  }
}

TEST(DenseEdit, ZeroNeuronSubtractsItsOutput) {
  lifescope::Run run = SmallRun();
  const int64_t post_read = AddActivationRead(&run, "blocks.1.mlp.hook_post");
  const int64_t resid_read = AddActivationRead(&run, "blocks.1.hook_resid_post");
  AddIntervention(&run, {MakeEdit(NeuronTarget{1, {17}}, Zero{})});
  const RunResult result = Execute(run, SmallModel());
  const BlockWeights& block = SmallModel().weights().blocks[1];
  const at::Tensor activation = TensorOf(result.clean[0], post_read).narrow(1, 17, 1);
  const at::Tensor output = activation.matmul(block.w_out.narrow(1, 17, 1).t()) * block.gate_mlp;
  EXPECT_GT(output.abs().max().item<double>(), 1e-4);
  ExpectNear(Edited(result, 0, resid_read), TensorOf(result.clean[0], resid_read) - output, kNear);
}

TEST(DenseEdit, MeanIsOverAllPositionsOfItsDocuments) {
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, kZ1);
  AddIntervention(&run, {MakeEdit(HeadTarget{1, 2}, Mean{{2, 0}}, At({1}), {1})});
  const RunResult result = Execute(run, SmallModel());
  const at::Tensor mean =
      at::cat({TensorOf(result.clean[0], read), TensorOf(result.clean[2], read)}).to(at::kDouble).mean(0);
  const at::Tensor edited = Edited(result, 0, read);
  EXPECT_TRUE(SameBits(edited[1][2], mean[2].to(at::kFloat)));
  EXPECT_TRUE(SameBits(edited[1][1], TensorOf(result.clean[1], read)[1][1]));
}

TEST(DonorEdit, TakesTheDonorsCleanValues) {
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, kPost0);
  // Document 0 is edited too; its donor value for document 1 is the clean one all the same.
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kPost0)}, Zero{}, {}, {0}),
                         MakeEdit(ActivationTarget{Point(kPost0)}, Donor{0, {}}, At({11}), {1})});
  const RunResult result = Execute(run, SmallModel());
  EXPECT_TRUE(SameBits(Edited(result, 1, read)[11], TensorOf(result.clean[0], read)[11]));
  EXPECT_EQ(Edited(result, 0, read).abs().max().item<double>(), 0);
}

TEST(DonorEdit, PositionsPairInTheGivenOrder) {
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, kPost0);
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kPost0)}, Donor{0, At({2, 9, 9})}, At({5, 3, 4}), {1})});
  const RunResult result = Execute(run, SmallModel());
  const at::Tensor expected = TensorOf(result.clean[1], read).clone();
  const at::Tensor donor = TensorOf(result.clean[0], read);
  expected[5].copy_(donor[2]);
  expected[3].copy_(donor[9]);
  expected[4].copy_(donor[9]);
  EXPECT_TRUE(SameBits(Edited(result, 0, read), expected));
}

TEST(DonorEdit, AllPositionsAreThoseThatBothHave) {
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, kPost0);
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kPost0)}, Donor{2, {}})});
  const RunResult result = Execute(run, SmallModel());
  const at::Tensor donor = TensorOf(result.clean[2], read), edited = Edited(result, 1, read);
  EXPECT_TRUE(SameBits(edited.narrow(0, 0, 9), donor));
  EXPECT_TRUE(SameBits(edited.narrow(0, 9, 22), TensorOf(result.clean[1], read).narrow(0, 9, 22)));
}

TEST(DonorEdit, EventPositions) {
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, kPost0);
  Edit edit = MakeEdit(ActivationTarget{Point(kPost0)}, SetTo{{0}}, {}, {1});
  edit.positions.events = {2};
  AddIntervention(&run, {edit});
  const at::Tensor edited = Edited(Execute(run, SmallModel()), 0, read);
  for (int64_t position = 0; position < 31; ++position) {
    const bool in_event = run.documents[1].event[static_cast<size_t>(position)] == 2;
    EXPECT_EQ(edited[position].abs().max().item<double>() == 0, in_event) << position;
  }
}

// Every hook point with one row per position can be edited and read; a document's own values change nothing.
class TokenHookPoint : public ::testing::TestWithParam<std::string> {};

TEST_P(TokenHookPoint, OwnDonorChangesNothingAndSetSets) {
  lifescope::Run run = SmallRun();
  const int64_t at_point = AddActivationRead(&run, GetParam());
  const int64_t final = AddActivationRead(&run, "blocks.1.hook_resid_post");
  const EditTarget target = ActivationTarget{Point(GetParam())};
  AddIntervention(&run, {MakeEdit(target, Donor{1, {}}, {}, {1})});
  AddIntervention(&run, {MakeEdit(target, Scale{1}, {}, {1})});
  AddIntervention(&run, {MakeEdit(target, SetTo{{0.25}}, {}, {1})});
  const RunResult result = Execute(run, SmallModel());
  for (const int64_t read : {at_point, final}) {
    EXPECT_TRUE(SameBits(Edited(result, 0, read), TensorOf(result.clean[1], read)));
    EXPECT_TRUE(SameBits(TensorOf(result.interventions[1].documents[0], read), TensorOf(result.clean[1], read)));
  }
  const at::Tensor set = TensorOf(result.interventions[2].documents[0], at_point);
  EXPECT_TRUE(SameBits(set, at::full_like(set, 0.25)));
}

std::vector<std::string> TokenHookPoints() {
  std::vector<std::string> names;
  for (const HookPoint& point : AllHookPoints(SmallModel().hyperparameters())) {
    if (RowKindOf(point.site) == RowKind::kToken) names.push_back(point.ToString());
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, TokenHookPoint, ::testing::ValuesIn(TokenHookPoints()), [](const auto& info) {
  std::string name = info.param;
  for (char& c : name) {
    if (c == '.') c = '_';
  }
  return name;
});

}  // namespace
}  // namespace lifescope
