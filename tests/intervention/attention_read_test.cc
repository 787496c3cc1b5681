// Attention weights against the definition written out over padded slots.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

constexpr int64_t kLayer = 2, kGlobal = 2, kHeads = 4, kWindow = 4;
constexpr double kNear = 1e-11;

// FAVOR+ of one head with every padded slot as a key of zeros: [positions, slots].
at::Tensor PlainGlobal(const at::Tensor& q, const at::Tensor& k, int64_t slots) {
  const at::Tensor projection = DeepModel().weights().blocks[kLayer].projection;
  const double scale = std::pow(static_cast<double>(q.size(1)), -0.25);
  const auto features = [&](const at::Tensor& x, const at::Tensor& stabiliser) {
    const at::Tensor scaled = x * scale;
    return (at::matmul(scaled, projection.t()) - scaled.square().sum(1, true) / 2 - stabiliser).exp() + 1e-4;
  };
  const at::Tensor keys = at::constant_pad_nd(k, {0, 0, 0, slots - k.size(0)});
  const at::Tensor phi_q = features(q, at::matmul(q * scale, projection.t()).amax(1, true));
  const at::Tensor phi_k = features(keys, at::matmul(keys * scale, projection.t()).max());
  const at::Tensor scores = at::matmul(phi_q, phi_k.t());
  return scores / scores.sum(1, true);
}

// Softmax over the window of the query and the two beside it, one weight at a time: [positions, positions].
at::Tensor PlainLocal(const at::Tensor& q, const at::Tensor& k) {
  const int64_t n = q.size(0);
  const at::Tensor scores = at::matmul(q, k.t()) / std::sqrt(static_cast<double>(q.size(1)));
  const at::Tensor weights = at::zeros({n, n}, at::kDouble);
  for (int64_t i = 0; i < n; ++i) {
    double sum = 0;
    const auto sees = [&](int64_t j) { return std::abs(i / kWindow - j / kWindow) <= 1; };
    for (int64_t j = 0; j < n; ++j) sum += sees(j) ? std::exp(scores[i][j].item<double>()) : 0;
    for (int64_t j = 0; j < n; ++j) {
      if (sees(j)) weights[i][j] = std::exp(scores[i][j].item<double>()) / sum;
    }
  }
  return weights;
}

class AttentionOf : public testing::TestWithParam<int64_t> {};

TEST_P(AttentionOf, IsItsDefinitionAndMixesTheValuesIntoZ) {
  lifescope::Run run = DeepRun();
  const int64_t weights = AddRead(&run, AttentionRead{kLayer, GetParam()});
  const int64_t q = AddActivationRead(&run, "blocks.2.attn.hook_q");
  const int64_t k = AddActivationRead(&run, "blocks.2.attn.hook_k");
  const int64_t v = AddActivationRead(&run, "blocks.2.attn.hook_v");
  const int64_t z = AddActivationRead(&run, "blocks.2.attn.hook_z");
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point("blocks.2.attn.hook_k")}, Scale{3}, At({4, 6})),
                         MakeEdit(ActivationTarget{Point("blocks.1.hook_resid_post")}, Zero{}, At({2}))});
  run.n_slots = 40;
  for (const bool deterministic : {true, false}) {
    run.deterministic = deterministic;
    const RunResult result = Execute(run, DeepModel());
    for (size_t d = 0; d < 3; ++d) {
      for (const DocumentResult* document : {&result.clean[d], &result.interventions[0].documents[d]}) {
        const auto of_head = [&](int64_t read) { return TensorOf(*document, read).select(1, GetParam()); };
        const at::Tensor actual = TensorOf(*document, weights);
        const int64_t n = of_head(q).size(0);
        ASSERT_EQ(actual.sizes(), at::IntArrayRef({n, n + 1}));
        const at::Tensor of_positions = actual.narrow(1, 0, n), padding = actual.select(1, n);
        if (GetParam() < kGlobal) {
          const at::Tensor plain = PlainGlobal(of_head(q), of_head(k), 40);
          ExpectNear(of_positions, plain.narrow(1, 0, n), kNear);
          ExpectNear(padding, plain.slice(1, n).sum(1), kNear);
          EXPECT_GT(padding.min().item<double>(), 0.01);
        } else {
          ExpectNear(of_positions, PlainLocal(of_head(q), of_head(k)), kNear);
          EXPECT_TRUE(padding.eq(0).all().item<bool>());
        }
        ExpectNear(actual.sum(1), at::ones({n}, at::kDouble), kNear);
        ExpectNear(at::matmul(of_positions, of_head(v)), of_head(z), kNear);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Heads, AttentionOf, testing::Range(int64_t{0}, kHeads));

TEST(AttentionRead, ShowsCutAndWeakenedEdges) {
  for (int64_t head = 0; head < kHeads; ++head) {
    lifescope::Run run = DeepRun();
    const int64_t weights = AddRead(&run, AttentionRead{kLayer, head}, At({5, 6, 7}));
    const int64_t v = AddActivationRead(&run, "blocks.2.attn.hook_v");
    const int64_t z = AddRead(&run, ActivationRead{Point("blocks.2.attn.hook_z")}, At({5, 6, 7}));
    AddIntervention(&run, {MakeEdit(EdgeTarget{kLayer, head, At({4, 7})}, Zero{}, At({2, 5})),
                           MakeEdit(EdgeTarget{kLayer, head, At({3})}, Scale{0.5}, At({7}))});
    run.deterministic = false;
    const RunResult result = Execute(run, DeepModel());
    for (size_t d = 0; d < 3; ++d) {
      const DocumentResult& edited = result.interventions[0].documents[d];
      const at::Tensor before = TensorOf(result.clean[d], weights), after = TensorOf(edited, weights);
      const int64_t n = TensorOf(edited, v).size(0);
      EXPECT_EQ(after[0][4].item<double>(), 0);
      EXPECT_EQ(after[0][7].item<double>(), 0);
      EXPECT_TRUE(SameBits(after[1], before[1]));
      EXPECT_LT(after[2][3].item<double>(), before[2][3].item<double>());
      ExpectNear(after.sum(1), at::ones({3}, at::kDouble), kNear);
      ExpectNear(at::matmul(after.narrow(1, 0, n), TensorOf(edited, v).select(1, head)),
                 TensorOf(edited, z).select(1, head), kNear);
    }
  }
}

TEST(AttentionRead, RowsAreThoseOfTheReadPositions) {
  lifescope::Run run = DeepRun();
  for (int64_t head = 0; head < kHeads; ++head) {
    AddRead(&run, AttentionRead{kLayer, head});
    AddRead(&run, AttentionRead{kLayer, head}, At({8, 3}));
  }
  const RunResult result = Execute(run, DeepModel());
  for (int64_t head = 0; head < kHeads; ++head) {
    const at::Tensor all = TensorOf(result.clean[0], 2 * head);
    ExpectNear(TensorOf(result.clean[0], 2 * head + 1), at::stack({all[3], all[8]}), 1e-14);
  }
}

TEST(AttentionRead, AFullDocumentHasNoPadding) {
  lifescope::Run run = DeepRun();
  run.documents = {RandomDocument(4, 48)};
  AddRead(&run, AttentionRead{kLayer, 0});
  const at::Tensor weights = TensorOf(Execute(run, DeepModel()).clean[0], 0);
  ExpectNear(weights.select(1, 48), at::zeros({48}, at::kDouble), 1e-14);
}

}  // namespace
}  // namespace lifescope
