// Path patching: a sender's write, seen by one receiver alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

constexpr char kFinal[] = "blocks.3.hook_resid_post";

// Edits of document 0 with document 1 as donor, at positions 4 and 9 from 6 and 2.
class PathTest : public testing::Test {
 protected:
  PathTest() : run_(DeepRun()) {}

  Edit Path(const std::string& receiver, EditTarget sender, int64_t donor_intervention = -1) {
    PathFrom mode;
    mode.sender = std::move(sender);
    mode.donor = {1, At({6, 2}), donor_intervention};
    return MakeEdit(ActivationTarget{Point(receiver)}, std::move(mode), At({4, 9}), {0});
  }

  // Donor less base at a hook point, [2, channels].
  at::Tensor Difference(const std::string& point) {
    lifescope::Run run = DeepRun();
    AddActivationRead(&run, point);
    const RunResult result = Execute(run, DeepModel());
    const at::Tensor donor = TensorOf(result.clean[1], 0).flatten(1), base = TensorOf(result.clean[0], 0).flatten(1);
    return donor.index_select(0, at::tensor({6, 2})) - base.index_select(0, at::tensor({4, 9}));
  }

  // What the receiver gets.
  at::Tensor Received(const std::string& receiver, EditTarget sender) {
    lifescope::Run run = DeepRun();
    const int64_t read = AddActivationRead(&run, receiver);
    AddIntervention(&run, {Path(receiver, std::move(sender))});
    const RunResult result = Execute(run, DeepModel());
    const at::Tensor change = TensorOf(result.interventions[0].documents[0], read) - TensorOf(result.clean[0], read);
    const at::Tensor edited = at::tensor({4, 9}, at::kLong);
    EXPECT_EQ(change.index_fill(0, edited, 0).abs().max().item<double>(), 0);
    return change.index_select(0, edited);
  }

  const BlockWeights& W(size_t layer) const { return DeepModel().weights().blocks[layer]; }

  lifescope::Run run_;
};

TEST_F(PathTest, TheReceiverGetsWhatTheSenderWritesMore) {
  const at::Tensor head = Difference("blocks.1.attn.hook_z").slice(1, 8, 12).matmul(W(1).w_o.slice(1, 8, 12).t());
  for (const char* receiver : {"blocks.1.hook_resid_mid", "blocks.2.hook_attn_in", "blocks.3.hook_mlp_in", kFinal}) {
    ExpectNear(Received(receiver, HeadTarget{1, 2}), head * W(1).gate_attention, 1e-12);
  }
  at::Tensor neurons = at::zeros({2, 16}, at::kDouble);
  for (const int64_t i : {3, 20}) {
    neurons += at::outer(Difference("blocks.0.mlp.hook_post").select(1, i), W(0).w_out.select(1, i));
  }
  ExpectNear(Received(kFinal, NeuronTarget{0, {3, 20}}), neurons * W(0).gate_mlp, 1e-12);
  ExpectNear(Received("blocks.0.hook_attn_in", ActivationTarget{Point("hook_embed_token")}),
             Difference("hook_embed_token"), 1e-12);
  for (const auto& [part, write] :
       {std::pair<std::string, std::string>{"blocks.1.hook_attn_out", "blocks.1.hook_attn_contrib"},
        {"blocks.1.hook_attn_contrib", "blocks.1.hook_attn_contrib"},
        {"blocks.1.attn.hook_z", "blocks.1.hook_attn_contrib"},
        {"blocks.1.hook_mlp_out", "blocks.1.hook_mlp_contrib"},
        {"blocks.1.hook_mlp_contrib", "blocks.1.hook_mlp_contrib"},
        {"blocks.1.mlp.hook_post", "blocks.1.hook_mlp_contrib"}}) {
    SCOPED_TRACE(part);
    ExpectNear(Received("blocks.3.hook_mlp_in", ActivationTarget{Point(part)}), Difference(write), 1e-12);
  }
}

TEST_F(PathTest, FeaturesSendTheirDirections) {
  lifescope::Run run = DeepRun();
  AddActivationRead(&run, "blocks.1.hook_resid_post");
  const RunResult result = Execute(run, DeepModel());
  const at::Tensor donor = DeepDictionary().Encode(TensorOf(result.clean[1], 0).index_select(0, at::tensor({6, 2})));
  const at::Tensor base = DeepDictionary().Encode(TensorOf(result.clean[0], 0).index_select(0, at::tensor({4, 9})));
  at::Tensor expected = at::zeros({2, 16}, at::kDouble);
  for (const int64_t i : {0, 5, 11, 23}) {
    expected += at::outer((donor - base).select(1, i), DeepDictionary().w_dec[i]);
  }
  EXPECT_GT(expected.abs().max().item<double>(), 1e-3);
  ExpectNear(Received("blocks.3.hook_attn_in", FeatureTarget{0, {0, 5, 11, 23}}), expected, 1e-12);
}

// The stream at the end is the sum of what the embedding, attention and MLPs write.
TEST_F(PathTest, AllDirectPathsToTheEndAddUpToTheDonor) {
  lifescope::Run run = DeepRun();
  const int64_t final = AddActivationRead(&run, kFinal);
  std::vector<Edit> edits = {Path(kFinal, ActivationTarget{Point("hook_embed")})};
  for (int64_t layer = 0; layer < 4; ++layer) {
    for (int64_t head = 0; head < 4; ++head) edits.push_back(Path(kFinal, HeadTarget{layer, head}));
    edits.push_back(Path(kFinal, ActivationTarget{HookPoint{Site::kMlpOut, layer}}));
  }
  AddIntervention(&run, std::move(edits));
  const RunResult result = Execute(run, DeepModel());
  at::Tensor expected = TensorOf(result.clean[0], final).clone();
  expected[4].copy_(TensorOf(result.clean[1], final)[6]);
  expected[9].copy_(TensorOf(result.clean[1], final)[2]);
  ExpectNear(TensorOf(result.interventions[0].documents[0], final), expected, 1e-12);
}

// A path into one head: the other heads of the layer, and the stream itself, do not see the sender.
TEST_F(PathTest, AHeadReceivesByADonorFromTheFirstIntervention) {
  const int64_t z = AddActivationRead(&run_, "blocks.3.attn.hook_z");
  const int64_t final = AddActivationRead(&run_, kFinal);
  AddIntervention(&run_, {Path("blocks.3.hook_attn_in", HeadTarget{1, 0})});
  AddIntervention(&run_, {MakeEdit(HeadTarget{3, 2}, Donor{0, {}, 0}, {}, {0})});
  const RunResult result = Execute(run_, DeepModel());
  const at::Tensor clean = TensorOf(result.clean[0], z), sent = TensorOf(result.interventions[0].documents[0], z);
  at::Tensor expected = clean.clone();
  expected.select(1, 2).copy_(sent.select(1, 2));
  EXPECT_TRUE(SameBits(TensorOf(result.interventions[1].documents[0], z), expected));
  EXPECT_FALSE(at::allclose(expected, clean));

  // By hand: the head's input is the clean stream with the sender's write; the rest of the layer runs on.
  Hooks hooks;
  const at::Tensor write = Difference("blocks.1.attn.hook_z").slice(1, 0, 4).matmul(W(1).w_o.slice(1, 0, 4).t());
  const Document& d = run_.documents[0];
  const PackedBatch batch =
      MakePackedBatch({{d.token.data(), d.abspos.data(), d.age.data(), d.segment.data(), d.length(), 48}}, at::kCPU);
  at::Tensor received;
  const auto forward = [&](const Hooks& with) {
    ForwardOptions options;
    options.hooks = &with;
    return DeepModel().Forward(batch, options);
  };
  hooks.Add(Point("blocks.3.hook_resid_pre"), [&](const at::Tensor& x) {
    return x.index_add(0, at::tensor({4, 9}, at::kLong), write * W(1).gate_attention);
  });
  hooks.Capture(Point("blocks.3.attn.hook_z"), &received);
  forward(hooks);
  Hooks one_head;
  one_head.Add(Point("blocks.3.attn.hook_z"), [&](const at::Tensor& x) {
    at::Tensor y = x.clone();
    y.select(1, 2).copy_(received.select(1, 2));
    return y;
  });
  ExpectNear(TensorOf(result.interventions[1].documents[0], final), forward(one_head), 1e-12);
}

TEST_F(PathTest, TheSendersDonorMayBeAnEditedRun) {
  const int64_t z = AddActivationRead(&run_, "blocks.1.attn.hook_z");
  const int64_t final = AddActivationRead(&run_, kFinal);
  AddIntervention(&run_, {MakeEdit(ActivationTarget{Point("blocks.0.hook_resid_post")}, Scale{0.5}, {}, {1})});
  AddIntervention(&run_, {Path(kFinal, HeadTarget{1, 3}, 0)});
  const RunResult result = Execute(run_, DeepModel());
  const at::Tensor sent = TensorOf(result.interventions[0].documents[0], z), base = TensorOf(result.clean[0], z);
  at::Tensor expected = TensorOf(result.clean[0], final).clone();
  for (const auto& [to, from] : {std::pair<int64_t, int64_t>{4, 6}, {9, 2}}) {
    expected[to] += (W(1).w_o.slice(1, 12, 16).matmul(sent[from][3] - base[to][3])) * W(1).gate_attention[0];
  }
  ExpectNear(TensorOf(result.interventions[1].documents[0], final), expected, 1e-12);
}

TEST_F(PathTest, FromTheSameRunChangesNothing) {
  const int64_t final = AddActivationRead(&run_, kFinal);
  Edit edit = Path("blocks.2.hook_attn_in", HeadTarget{1, 0});
  edit.positions = {};
  std::get<PathFrom>(edit.mode).donor = {0, {}};
  AddIntervention(&run_, {edit});
  const RunResult result = Execute(run_, DeepModel());
  EXPECT_TRUE(SameBits(TensorOf(result.interventions[0].documents[0], final), TensorOf(result.clean[0], final)));
}

TEST_F(PathTest, WhatIsNoPathIsRefused) {
  AddActivationRead(&run_, kFinal);
  AddIntervention(&run_, {});
  const auto message = [&](Edit edit) -> std::string {
    run_.interventions[0].edits = {std::move(edit)};
    try {
      ValidateRun(run_, DeepModel());
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    }
    return "accepted";
  };
  const std::string path = "interventions[0].edits[0].path";
  using ::testing::StartsWith;
  EXPECT_EQ(message(Path("blocks.1.hook_resid_mid", HeadTarget{1, 0})), "accepted");
  EXPECT_THAT(message(Path("blocks.1.hook_attn_in", HeadTarget{1, 0})),
              StartsWith(path + ".sender: blocks.1.attn.hook_z, expected one before blocks.1.hook_attn_in"));
  EXPECT_THAT(message(Path("blocks.2.attn.hook_z", HeadTarget{1, 0})), StartsWith(path + ": at another target"));
  EXPECT_THAT(message(Path(kFinal, ActivationTarget{Point("blocks.1.hook_resid_mid")})),
              StartsWith(path + ".sender: blocks.1.hook_resid_mid, expected a part that writes"));
  EXPECT_THAT(message(Path(kFinal, EdgeTarget{1, 0, {}})),
              StartsWith(path + ".sender: blocks.1.attn.hook_z, expected"));
  EXPECT_THAT(message(Path(kFinal, HeadTarget{1, 4})), StartsWith(path + ".sender.head.head: 4"));
  EXPECT_THAT(message(Path(kFinal, HeadTarget{1, 0}, 0)),
              StartsWith("interventions[0].edits[0].donor.intervention: 0, expected -1"));
}

}  // namespace
}  // namespace lifescope
