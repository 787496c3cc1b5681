// Scopes: what follows an edit, and what stays as in the clean run.
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

constexpr char kFinal[] = "blocks.3.hook_resid_post";

// One intervention with this scope, of document 0.
class ScopeTest : public testing::Test {
 protected:
  // Reads `points` of a run with these edits; [0] clean, [1] edited.
  std::vector<std::vector<at::Tensor>> Values(std::vector<Edit> edits, Scope scope,
                                              const std::vector<std::string>& points) {
    lifescope::Run run = DeepRun();
    for (Edit& edit : edits) edit.documents = {0};
    run.interventions = {{"", std::move(edits), scope}};
    for (const std::string& point : points) AddActivationRead(&run, point);
    const RunResult result = Execute(run, DeepModel());
    std::vector<std::vector<at::Tensor>> values(2);
    for (size_t i = 0; i < points.size(); ++i) {
      values[0].push_back(TensorOf(result.clean[0], static_cast<int64_t>(i)));
      values[1].push_back(TensorOf(result.interventions[0].documents[0], static_cast<int64_t>(i)));
    }
    return values;
  }

  // Which of the points, of layers 0 to 3 each, are to the bit as in the clean run: "1101".
  std::string Same(const std::vector<Edit>& edits, Scope scope, const std::string& site) {
    std::vector<std::string> points;
    for (int64_t layer = 0; layer < 4; ++layer) points.push_back("blocks." + std::to_string(layer) + "." + site);
    const auto values = Values(edits, scope, points);
    std::string same;
    for (size_t i = 0; i < points.size(); ++i) same += SameBits(values[0][i], values[1][i]) ? '1' : '0';
    return same;
  }

  const std::vector<Edit> stream_{MakeEdit(ActivationTarget{Point("blocks.1.hook_resid_pre")}, Add{{0.5}}, At({4, 7}))};
  const std::vector<Edit> head_{MakeEdit(HeadTarget{1, 2}, Zero{})};
};

TEST_F(ScopeTest, PropagateFreezesNothing) {
  for (const char* site : {"attn.hook_phi_q", "attn.hook_phi_k", "hook_attn_out", "hook_mlp_out", "hook_resid_post"}) {
    EXPECT_EQ(Same(stream_, Scope::kPropagate, site), "1000") << site;
  }
}

TEST_F(ScopeTest, FrozenPatternsAreThoseOfTheCleanRun) {
  for (const char* site : {"attn.hook_q", "attn.hook_k", "attn.hook_phi_q", "attn.hook_phi_k"}) {
    EXPECT_EQ(Same(stream_, Scope::kFreezePatterns, site), "1111") << site;
  }
  for (const char* site : {"attn.hook_v", "attn.hook_z", "hook_mlp_out", "hook_resid_post"}) {
    EXPECT_EQ(Same(stream_, Scope::kFreezePatterns, site), "1000") << site;
  }
}

TEST_F(ScopeTest, FrozenAttentionGivesWhatItGivesClean) {
  for (const char* site : {"attn.hook_v", "attn.hook_z", "hook_attn_out", "hook_attn_contrib"}) {
    EXPECT_EQ(Same(stream_, Scope::kFreezeAttention, site), "1111") << site;
  }
  for (const char* site : {"hook_resid_mid", "hook_mlp_out", "hook_resid_post"}) {
    EXPECT_EQ(Same(stream_, Scope::kFreezeAttention, site), "1000") << site;
  }
}

TEST_F(ScopeTest, FrozenAttentionStaysWithinItsPosition) {
  const auto values = Values(stream_, Scope::kFreezeAttention, {kFinal});
  const at::Tensor changed = values[1][0].ne(values[0][0]).any(1).nonzero().flatten();
  EXPECT_TRUE(at::equal(changed, at::tensor({4, 7}, at::kLong)));
}

TEST_F(ScopeTest, DirectLeavesOnlyTheStream) {
  for (const char* site : {"hook_attn_out", "mlp.hook_pre", "hook_mlp_out"}) {
    EXPECT_EQ(Same(stream_, Scope::kDirect, site), "1111") << site;
  }
  const auto values = Values(stream_, Scope::kDirect, {kFinal});
  at::Tensor expected = values[0][0].clone();
  expected[4] += 0.5;
  expected[7] += 0.5;
  ExpectNear(values[1][0], expected, 1e-13);
}

// An edited head is within a frozen sublayer: its own layer's output follows it, later ones do not.
TEST_F(ScopeTest, AnEditWithinWhatIsFrozenHolds) {
  EXPECT_EQ(Same(head_, Scope::kFreezeAttention, "hook_attn_out"), "1011");
  EXPECT_EQ(Same(head_, Scope::kFreezeAttention, "hook_mlp_out"), "1000");
  EXPECT_EQ(Same(head_, Scope::kDirect, "hook_attn_out"), "1011");
  EXPECT_EQ(Same(head_, Scope::kDirect, "hook_mlp_out"), "1111");
  const auto values = Values(head_, Scope::kDirect, {kFinal, "blocks.1.attn.hook_z"});
  const BlockWeights& w = DeepModel().weights().blocks[1];
  const at::Tensor write = values[0][1].select(1, 2).matmul(w.w_o.slice(1, 8, 12).t()) * w.gate_attention;
  ExpectNear(values[1][0], values[0][0] - write, 1e-13);
}

TEST_F(ScopeTest, AnEditOfWhatIsFrozenHolds) {
  const std::vector<Edit> q = {MakeEdit(ActivationTarget{Point("blocks.2.attn.hook_q")}, Scale{2})};
  EXPECT_EQ(Same(q, Scope::kFreezePatterns, "attn.hook_q"), "1101");
  const std::vector<Edit> edges = {MakeEdit(EdgeTarget{2, 0, At({3})}, Zero{})};
  EXPECT_EQ(Same(edges, Scope::kFreezePatterns, "attn.hook_z"), "1100");
  EXPECT_EQ(Same(edges, Scope::kFreezeAttention, "attn.hook_z"), "1101");
  const std::vector<Edit> attn_in = {MakeEdit(ActivationTarget{Point("blocks.2.hook_attn_in")}, Add{{1}})};
  EXPECT_EQ(Same(attn_in, Scope::kDirect, "hook_attn_in"), "1101");
}

TEST_F(ScopeTest, BatchedOrAloneIsTheSame) {
  lifescope::Run run = DeepRun();
  const int64_t final = AddActivationRead(&run, kFinal);
  for (const Scope scope : {Scope::kDirect, Scope::kFreezeAttention, Scope::kFreezePatterns, Scope::kPropagate}) {
    run.interventions.push_back({"", stream_, scope});
    run.interventions.push_back({"", head_, scope});
  }
  const RunResult alone = Execute(run, DeepModel());
  run.deterministic = false;
  const RunResult batched = Execute(run, DeepModel());
  EXPECT_EQ(batched.layer_passes, alone.layer_passes);
  for (size_t i = 0; i < run.interventions.size(); ++i) {
    for (size_t d = 0; d < 3; ++d) {
      ExpectNear(TensorOf(batched.interventions[i].documents[d], final),
                 TensorOf(alone.interventions[i].documents[d], final), 1e-12);
    }
  }
}

// 60 positions of 16 channels in float64, at two points of each of the layers 1 to 3.
TEST_F(ScopeTest, KeepsNoMoreThanItMay) {
  lifescope::Run run = DeepRun();
  AddActivationRead(&run, kFinal);
  run.interventions = {{"", stream_, Scope::kDirect}};
  ExecuteOptions options;
  options.kept_bytes = 60 * 16 * 8 * 2 * 3;
  EXPECT_NO_THROW(Execute(run, DeepModel(), options));
  options.kept_bytes -= 1;
  try {
    Execute(run, DeepModel(), options);
    FAIL() << "was not refused";
  } catch (const c10::ValueError& error) {
    EXPECT_STREQ(error.what_without_backtrace(),
                 "interventions: their edits and scopes, and the reads, take 46080 bytes of values from other runs, "
                 "expected at most 46079");
  }
}

// Only the layers that run are frozen: the clean run is no longer for it.
TEST_F(ScopeTest, FreezesNoLayerThatIsNotRun) {
  lifescope::Run run = DeepRun();
  AddRead(&run, ActivationRead{Point("blocks.2.hook_resid_post")}, {}, {0});
  run.interventions = {{"", stream_, Scope::kDirect}};
  EXPECT_EQ(Execute(run, DeepModel()).layer_passes, 3 + 2);
}

}  // namespace
}  // namespace lifescope
