#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

using ::testing::ElementsAre;

constexpr char kFinal[] = "blocks.1.hook_resid_post";

TEST(Read, ActivationHasTheShapeOfItsHookPoint) {
  lifescope::Run run = SmallRun();
  AddRead(&run, ActivationRead{Point("blocks.1.attn.hook_z")}, At({8, 2}), {1});
  AddActivationRead(&run, "blocks.0.mlp.hook_pre");
  const RunResult result = Execute(run, SmallModel());
  EXPECT_EQ(TensorOf(result.clean[1], 0).sizes(), at::IntArrayRef({2, 4, 4}));
  EXPECT_EQ(TensorOf(result.clean[1], 1).sizes(), at::IntArrayRef({31, 32}));
  EXPECT_THAT(result.clean[0].values, ::testing::SizeIs(1));
  EXPECT_EQ(result.clean[0].values[0].read, 1);
}

TEST(Read, PositionsAreAscending) {
  lifescope::Run run = SmallRun();
  AddRead(&run, ActivationRead{Point(kFinal)}, At({8, 2}));
  AddActivationRead(&run, kFinal);
  const RunResult result = Execute(run, SmallModel());
  EXPECT_TRUE(SameBits(TensorOf(result.clean[0], 0)[0], TensorOf(result.clean[0], 1)[2]));
  EXPECT_TRUE(SameBits(TensorOf(result.clean[0], 0)[1], TensorOf(result.clean[0], 1)[8]));
}

TEST(Read, FeaturesAreThoseOfTheEditedActivation) {
  lifescope::Run run = SmallRun();
  const int64_t x = AddRead(&run, ActivationRead{Point("blocks.0.hook_resid_post")}, At({1, 5}));
  const int64_t features = AddRead(&run, FeatureRead{0}, At({5, 1}));
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point("blocks.0.hook_resid_post")}, Add{{0.7}}, At({5}))});
  const RunResult result = Execute(run, SmallModel());
  for (const DocumentResult* document : {&result.clean[0], &result.interventions[0].documents[0]}) {
    const auto& value = std::get<FeatureValue>(ValueOf(*document, features).value);
    EXPECT_THAT(value.positions, ElementsAre(1, 5));
    EXPECT_EQ(value.activations.feature_count, 24);
    const at::Tensor dense = at::zeros({2, 24});
    for (int64_t row = 0; row < 2; ++row) {
      for (int64_t i = value.activations.row_offsets[row].item<int64_t>();
           i < value.activations.row_offsets[row + 1].item<int64_t>(); ++i) {
        dense[row][value.activations.features[i].item<int64_t>()] = value.activations.values[i];
      }
    }
    ExpectNear(dense, SmallDictionary().Encode(TensorOf(*document, x)), 1e-6);
  }
}

// All masked-token reads agree with the head applied to the final residual stream.
TEST(Read, MaskedTokenReadsFollowFromTheLogits) {
  lifescope::Run run = SmallRun();
  const int64_t final = AddActivationRead(&run, kFinal);
  const int64_t logits = AddRead(&run, MlmLogitsRead{}, At({3, 6}));
  const int64_t chosen = AddRead(&run, MlmLogitsRead{{30, 11}}, At({6, 7}));
  const int64_t difference = AddRead(&run, LogitDifferenceRead{12, 13}, At({3}));
  const int64_t probability = AddRead(&run, LogProbabilityRead{12}, At({7}));
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kFinal)}, Scale{0.5})});
  const RunResult result = Execute(run, SmallModel());
  for (const DocumentResult* document : {&result.clean[2], &result.interventions[0].documents[2]}) {
    const at::Tensor all = SmallModel().MlmLogits(TensorOf(*document, final));
    constexpr double kNear = 1e-5;
    ExpectNear(TensorOf(*document, logits), at::stack({all[3], all[6]}), kNear);
    const at::Tensor two = all.index_select(1, at::tensor({30, 11}, at::kLong));
    ExpectNear(TensorOf(*document, chosen), at::stack({two[6], two[7]}), kNear);
    ExpectNear(TensorOf(*document, difference), (all[3][12] - all[3][13]).unsqueeze(0), kNear);
    ExpectNear(TensorOf(*document, probability), at::log_softmax(all[7], 0)[12].unsqueeze(0), kNear);
  }
}

TEST(Read, SentenceOrderLogitsComeFromTheFirstPosition) {
  lifescope::Run run = SmallRun();
  const int64_t final = AddActivationRead(&run, kFinal);
  const int64_t sop = AddRead(&run, SopLogitsRead{});
  const RunResult result = Execute(run, SmallModel());
  const at::Tensor expected = SmallModel().SopLogits(TensorOf(result.clean[1], final).narrow(0, 0, 1))[0];
  EXPECT_EQ(expected.sizes(), at::IntArrayRef({3}));
  ExpectNear(TensorOf(result.clean[1], sop), expected, 1e-6);
}

// A filter may leave no position of a document; every kind then has a value without rows.
TEST(Read, OfNoPositionIsEmpty) {
  lifescope::Run run = SmallRun();
  Positions none;
  none.tokens = {kPad};
  const HookPoint point = Point("blocks.0.hook_resid_post");
  for (const ReadKind& kind :
       {ReadKind(ActivationRead{point}), ReadKind(MlmLogitsRead{}), ReadKind(KlToCleanRead{}),
        ReadKind(LogitLensRead{point, {}}), ReadKind(AttentionRead{0, 0}), ReadKind(AttentionRead{0, 3}),
        ReadKind(ShiftRead{point}), ReadKind(ReconstructionErrorRead{0}), ReadKind(FeatureRead{0}),
        ReadKind(FeatureChangeRead{0, 0}),
        ReadKind(DirectLogitRead{12, {}, Linearisation::kPoint, DirectLogitRead::Components::kHeads})}) {
    AddRead(&run, kind, none);
  }
  AddIntervention(&run, {MakeEdit(NeuronTarget{0, {1}}, Zero{})});
  const RunResult result = Execute(run, SmallModel());
  for (const DocumentResult* document : {&result.clean[1], &result.interventions[0].documents[1]}) {
    ASSERT_THAT(document->values, ::testing::SizeIs(11));
    for (int64_t read = 0; read < 8; ++read) EXPECT_EQ(TensorOf(*document, read).size(0), 0) << read;
    EXPECT_EQ(std::get<FeatureValue>(ValueOf(*document, 8).value).activations.rows(), 0);
    const auto& changes = std::get<FeatureChangeValue>(ValueOf(*document, 9).value);
    EXPECT_EQ(changes.row_offsets.size(0), 1);
    EXPECT_EQ(changes.edited.size(0), 0);
    EXPECT_EQ(std::get<DirectLogitValue>(ValueOf(*document, 10).value).contributions.size(0), 0);
  }
}

TEST(KlToClean, IsZeroForTheCleanRunAndForAnEditThatChangesNothing) {
  lifescope::Run run = SmallRun();
  const int64_t kl = AddRead(&run, KlToCleanRead{});
  AddIntervention(&run, {MakeEdit(FeatureTarget{0, {1, 2}}, Scale{1})});
  const RunResult result = Execute(run, SmallModel());
  EXPECT_TRUE(SameBits(TensorOf(result.clean[1], kl), at::zeros({31})));
  EXPECT_TRUE(SameBits(TensorOf(result.interventions[0].documents[1], kl), at::zeros({31})));
}

TEST(KlToClean, IsTheDivergenceFromTheCleanDistribution) {
  lifescope::Run run = SmallRun();
  const int64_t kl = AddRead(&run, KlToCleanRead{}, At({2, 5, 8}));
  const int64_t logits = AddRead(&run, MlmLogitsRead{}, At({2, 5, 8}));
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point("hook_embed")}, Zero{}, At({5}))});
  run.deterministic = false;
  const RunResult result = Execute(run, SmallModel());
  for (size_t d = 0; d < 3; ++d) {
    const at::Tensor p = at::log_softmax(TensorOf(result.clean[d], logits).to(at::kDouble), 1);
    const at::Tensor q = at::log_softmax(TensorOf(result.interventions[0].documents[d], logits).to(at::kDouble), 1);
    const at::Tensor expected = (p.exp() * (p - q)).sum(1);
    EXPECT_GT(expected.max().item<double>(), 1e-3);
    ExpectNear(TensorOf(result.interventions[0].documents[d], kl), expected, 1e-6);
    EXPECT_EQ(TensorOf(result.interventions[0].documents[d], kl).scalar_type(), at::kFloat);
  }
}

TEST(KlToClean, CoversOnlyItsDocuments) {
  lifescope::Run run = SmallRun();
  run.deterministic = false;
  const int64_t kl = AddRead(&run, KlToCleanRead{}, At({4}), {2, 0});
  const int64_t logits = AddRead(&run, MlmLogitsRead{}, At({4}));
  AddIntervention(&run, {MakeEdit(HeadTarget{0, 1}, Zero{}, {}, {1, 2})});
  const RunResult result = Execute(run, SmallModel());
  ASSERT_THAT(result.interventions[0].documents, ::testing::SizeIs(2));
  EXPECT_THAT(result.interventions[0].documents[0].values, ::testing::SizeIs(1));
  const DocumentResult& edited = result.interventions[0].documents[1];
  EXPECT_EQ(edited.document, 2);
  const at::Tensor p = at::log_softmax(TensorOf(result.clean[2], logits).to(at::kDouble), 1);
  const at::Tensor q = at::log_softmax(TensorOf(edited, logits).to(at::kDouble), 1);
  ExpectNear(TensorOf(edited, kl), (p.exp() * (p - q)).sum(1), 1e-6);
}

}  // namespace
}  // namespace lifescope
