// Attention edges in runs: cut and scaled, against weights written out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

constexpr int64_t kLayer = 2;

// Of document 1 in a run of its own pass: what attention is made of in the layer, by head (global 0, 1; local 2, 3).
struct Parts {
  at::Tensor phi_q, phi_k, ksum, q, k, v;
};

Parts PartsOf(const Run& run) {
  const Document& d = run.documents[1];
  const PackedBatch batch =
      MakePackedBatch({{d.token.data(), d.abspos.data(), d.age.data(), d.segment.data(), d.length(), 48}}, at::kCPU);
  Parts parts;
  Hooks hooks;
  hooks.Capture({Site::kPhiQ, kLayer}, &parts.phi_q);
  hooks.Capture({Site::kPhiK, kLayer}, &parts.phi_k);
  hooks.Capture({Site::kKsum, kLayer}, &parts.ksum);
  hooks.Capture({Site::kQ, kLayer}, &parts.q);
  hooks.Capture({Site::kK, kLayer}, &parts.k);
  hooks.Capture({Site::kV, kLayer}, &parts.v);
  ForwardOptions options;
  options.hooks = &hooks;
  DeepModel().Forward(batch, options);
  return parts;
}

// z of a query in a head with a factor for every key.
at::Tensor ZOf(const Parts& parts, int64_t head, int64_t query, const at::Tensor& factors) {
  at::Tensor weights, padding = at::zeros({}, at::kDouble);
  if (head < 2) {
    const at::Tensor phi = parts.phi_q[query][head];
    weights = parts.phi_k.select(1, head).matmul(phi);
    padding = parts.ksum[0][head].dot(phi) - weights.sum();
  } else {
    const at::Tensor window = at::div(at::arange(31), 4, "floor");
    const at::Tensor seen = (window - query / 4).abs().le(1);
    weights = (parts.k.select(1, head).matmul(parts.q[query][head]) / 2.0).exp() * seen;
  }
  weights = weights * factors;
  return weights.matmul(parts.v.select(1, head)) / (weights.sum() + padding);
}

TEST(EdgeEdit, ZeroCutsAndScaleWeakensInEveryHead) {
  lifescope::Run run = DeepRun();
  const int64_t z = AddActivationRead(&run, "blocks.2.attn.hook_z");
  AddActivationRead(&run, "blocks.3.hook_resid_post");
  Positions event;
  event.events = {3};
  for (int64_t head = 0; head < 4; ++head) {
    AddIntervention(&run, {MakeEdit(EdgeTarget{kLayer, head, event}, Zero{}, At({2, 14}), {1}),
                           MakeEdit(EdgeTarget{kLayer, head, At({1, 12})}, Scale{0.5}, At({14}), {1}),
                           MakeEdit(EdgeTarget{kLayer, head, At({1})}, Scale{3}, {}, {1})});
  }
  const RunResult result = Execute(run, DeepModel());
  const Parts parts = PartsOf(run);
  for (int64_t head = 0; head < 4; ++head) {
    at::Tensor factors = at::ones({31, 31}, at::kDouble);
    factors.select(1, 1).mul_(3);
    factors[14][1] *= 0.5;
    factors[14][12] *= 0.5;
    for (const int64_t key : ResolvePositions(event, run.documents[1], "")) {
      factors[2][key] = 0;
      factors[14][key] = 0;
    }
    at::Tensor expected = TensorOf(result.clean[1], z).clone();
    for (int64_t query = 0; query < 31; ++query) expected[query][head] = ZOf(parts, head, query, factors[query]);
    const at::Tensor edited = TensorOf(result.interventions[static_cast<size_t>(head)].documents[0], z);
    ExpectNear(edited, expected, 1e-12);
    EXPECT_FALSE(at::allclose(edited, TensorOf(result.clean[1], z)));
  }
}

TEST(EdgeEdit, BatchedOrAloneIsTheSame) {
  lifescope::Run run = DeepRun();
  const int64_t final = AddActivationRead(&run, "blocks.3.hook_resid_post");
  for (int64_t head = 0; head < 4; ++head) {
    AddIntervention(&run, {MakeEdit(EdgeTarget{kLayer, head, At({1, 5})}, Zero{}, At({0, 6}))});
  }
  const RunResult alone = Execute(run, DeepModel());
  run.deterministic = false;
  const RunResult batched = Execute(run, DeepModel());
  for (size_t i = 0; i < 4; ++i) {
    for (size_t d = 0; d < 3; ++d) {
      const at::Tensor expected = TensorOf(alone.interventions[i].documents[d], final);
      ExpectNear(TensorOf(batched.interventions[i].documents[d], final), expected, 1e-12);
      EXPECT_FALSE(at::allclose(expected, TensorOf(alone.clean[d], final)));
    }
  }
}

TEST(EdgeEdit, AFactorOfOneAndAnEdgeOutOfSightChangeNothing) {
  lifescope::Run run = DeepRun();
  const int64_t final = AddActivationRead(&run, "blocks.3.hook_resid_post");
  AddIntervention(&run, {MakeEdit(EdgeTarget{1, 0, {}}, Scale{1}), MakeEdit(EdgeTarget{1, 2, {}}, Scale{1})});
  AddIntervention(&run, {MakeEdit(EdgeTarget{1, 3, At({30})}, Zero{}, At({2}), {1})});
  const RunResult result = Execute(run, DeepModel());
  for (size_t d = 0; d < 3; ++d) {
    EXPECT_TRUE(SameBits(TensorOf(result.interventions[0].documents[d], final), TensorOf(result.clean[d], final)));
  }
  ExpectNear(TensorOf(result.interventions[1].documents[0], final), TensorOf(result.clean[1], final), 1e-14);
}

TEST(EdgeEdit, LayersBeforeAreShared) {
  lifescope::Run run = DeepRun();
  AddRead(&run, SopLogitsRead{}, {}, {1});
  AddIntervention(&run, {MakeEdit(EdgeTarget{3, 0, At({5})}, Zero{}, At({0}), {1})});
  EXPECT_EQ(Execute(run, DeepModel()).layer_passes, 4 + 1);
}

}  // namespace
}  // namespace lifescope
