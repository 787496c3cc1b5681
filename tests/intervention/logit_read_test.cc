// Reads of the masked-token head: the logit lens, cross-entropy and direct logit attribution.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/model/padded_reference.h"
#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

using testing::ElementsAre;

constexpr char kFinal[] = "blocks.3.hook_resid_post";
constexpr double kNear = 1e-11;

const PaddedReference& Reference() {
  static const PaddedReference reference(ToStateDict(DeepModel().weights(), DeepModel().hyperparameters()),
                                         DeepModel().hyperparameters());
  return reference;
}

TEST(LogitLens, IsTheHeadOnAnEarlierResidualStream) {
  lifescope::Run run = DeepRun();
  AddIntervention(&run, {MakeEdit(NeuronTarget{0, {3, 4}}, Zero{})});
  for (const char* point : {"hook_embed", "blocks.0.hook_resid_pre", "blocks.1.hook_resid_mid", kFinal}) {
    run.reads.clear();
    const int64_t x = AddActivationRead(&run, point);
    const int64_t all = AddRead(&run, LogitLensRead{Point(point), {}}, At({7, 2}));
    const int64_t some = AddRead(&run, LogitLensRead{Point(point), {30, 11}}, At({7}));
    const RunResult result = Execute(run, DeepModel());
    for (const DocumentResult* document : {&result.clean[1], &result.interventions[0].documents[1]}) {
      const at::Tensor expected = Reference().MlmLogits(TensorOf(*document, x));
      ExpectNear(TensorOf(*document, all), at::stack({expected[2], expected[7]}), kNear);
      ExpectNear(TensorOf(*document, some), at::stack({expected[7][30], expected[7][11]}).unsqueeze(0), kNear);
    }
  }
}

TEST(LogitLens, OfTheLastLayerIsTheMaskedTokenLogits) {
  lifescope::Run run = DeepRun();
  const int64_t lens = AddRead(&run, LogitLensRead{Point(kFinal), {}});
  const int64_t logits = AddRead(&run, MlmLogitsRead{});
  const RunResult result = Execute(run, DeepModel());
  ExpectNear(TensorOf(result.clean[0], lens), TensorOf(result.clean[0], logits), 1e-14);
}

TEST(LogitLens, RunsNoLayerPastItsHookPoint) {
  lifescope::Run run = DeepRun();
  AddRead(&run, LogitLensRead{Point("blocks.1.hook_resid_mid"), {}});
  EXPECT_EQ(Execute(run, DeepModel()).layer_passes, 3 * 2);
}

TEST(CrossEntropy, IsTheNegativeLogProbabilityOfEachTargetInOrder) {
  lifescope::Run run = DeepRun();
  const int64_t logits = AddRead(&run, MlmLogitsRead{});
  const int64_t other = AddRead(&run, LogProbabilityRead{12}, At({1}));
  const int64_t entropy = AddRead(&run, CrossEntropyRead{{{8, 15}, {2, 30}, {8, 15}, {2, 31}}});
  AddIntervention(&run, {MakeEdit(HeadTarget{1, 0}, Zero{})});
  run.deterministic = false;
  const RunResult result = Execute(run, DeepModel());
  for (const DocumentResult* document : {&result.clean[2], &result.interventions[0].documents[1]}) {
    const at::Tensor p = at::softmax(TensorOf(*document, logits), 1);
    const at::Tensor expected = -at::stack({p[8][15], p[2][30], p[8][15], p[2][31]}).log();
    ExpectNear(TensorOf(*document, entropy), expected, kNear);
    ExpectNear(TensorOf(*document, other), p[1][12].log().unsqueeze(0), kNear);
  }
}

const DirectLogitValue& DirectOf(const DocumentResult& document, int64_t read) {
  return std::get<DirectLogitValue>(ValueOf(document, read).value);
}

// The gradient of the logit in the final residual stream, by autograd.
at::Tensor GradientOf(const at::Tensor& final, int32_t a, int32_t b) {
  const at::Tensor x = final.detach().clone().requires_grad_();
  const at::Tensor logits = DeepModel().MlmLogits(x);
  (logits.select(1, a) - logits.select(1, b)).sum().backward();
  return x.grad();
}

class DirectLogitOf : public testing::TestWithParam<DirectLogitRead::Components> {};

TEST_P(DirectLogitOf, CompletesTheLogitInCleanAndEditedRuns) {
  lifescope::Run run = DeepRun();
  const int64_t difference = AddRead(&run, LogitDifferenceRead{12, 13}, At({3, 8}));
  const int64_t logit = AddRead(&run, MlmLogitsRead{{12}}, At({3, 8}));
  std::vector<std::pair<int64_t, int64_t>> reads;
  for (const Linearisation how : {Linearisation::kPoint, Linearisation::kSecant}) {
    reads.emplace_back(AddRead(&run, DirectLogitRead{12, 13, how, GetParam()}, At({8, 3})), difference);
    reads.emplace_back(AddRead(&run, DirectLogitRead{12, {}, how, GetParam()}, At({8, 3})), logit);
  }
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point("blocks.2.hook_resid_mid")}, Add{{0.3}}, At({3})),
                         MakeEdit(ActivationTarget{Point("blocks.0.hook_attn_out")}, Scale{2})});
  const RunResult result = Execute(run, DeepModel());
  for (const DocumentResult* document : {&result.clean[0], &result.interventions[0].documents[0]}) {
    for (const auto& [read, expected] : reads) {
      const DirectLogitValue& value = DirectOf(*document, read);
      const at::Tensor y = TensorOf(*document, expected).flatten();
      ExpectNear(value.logit, y, kNear);
      ExpectNear(value.contributions.sum(1) + value.bias + value.gap, y, kNear);
      const bool secant = std::get<DirectLogitRead>(run.reads[read].kind).linearisation == Linearisation::kSecant;
      EXPECT_EQ(value.gap.abs().max().item<double>() < kNear, secant);
      ASSERT_EQ(value.contributions.size(1), static_cast<int64_t>(value.components.size()));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Components, DirectLogitOf,
                         testing::Values(DirectLogitRead::Components::kLayers, DirectLogitRead::Components::kHeads),
                         [](const auto& info) {
                           return info.param == DirectLogitRead::Components::kLayers ? "Layers" : "Heads";
                         });

TEST(DirectLogit, OfALayerIsTheGradientTimesWhatItAdds) {
  lifescope::Run run = DeepRun();
  const int64_t direct = AddRead(&run, DirectLogitRead{12, 13});
  const int64_t final = AddActivationRead(&run, kFinal);
  std::vector<std::string> points = {"hook_embed_token", "hook_embed_age", "hook_embed_abspos", "hook_embed_segment"};
  for (int64_t layer = 0; layer < 4; ++layer) {
    const std::string block = "blocks." + std::to_string(layer);
    points.push_back(block + ".hook_attn_contrib");
    points.push_back(block + ".hook_mlp_contrib");
  }
  for (const std::string& point : points) AddActivationRead(&run, point);
  AddIntervention(&run, {MakeEdit(HeadTarget{1, 0}, Scale{-1}, At({4}))});
  const RunResult result = Execute(run, DeepModel());
  for (const DocumentResult* document : {&result.clean[0], &result.interventions[0].documents[0]}) {
    const DirectLogitValue& value = DirectOf(*document, direct);
    const at::Tensor gradient = GradientOf(TensorOf(*document, final), 12, 13);
    std::vector<at::Tensor> columns;
    for (size_t i = 0; i < points.size(); ++i) {
      EXPECT_EQ(value.components[i], points[i]);
      columns.push_back((TensorOf(*document, final + 1 + static_cast<int64_t>(i)) * gradient).sum(1));
    }
    EXPECT_EQ(value.components.back(), "edits");
    columns.push_back(at::zeros_like(columns.back()));
    ExpectNear(value.contributions, at::stack(columns, 1), kNear);
  }
}

TEST(DirectLogit, GapIsWhatTheTangentMisses) {
  lifescope::Run run = DeepRun();
  const int64_t direct = AddRead(&run, DirectLogitRead{12, 13}, At({5}));
  const int64_t final = AddRead(&run, ActivationRead{Point(kFinal)}, At({5}));
  const RunResult result = Execute(run, DeepModel());
  const DirectLogitValue& value = DirectOf(result.clean[1], direct);
  // The logit as a function of s = V x + b, whose slope at s times b is the bias.
  const MlmHeadWeights& w = DeepModel().weights().mlm;
  const at::Tensor s = (at::matmul(TensorOf(result.clean[1], final), w.v.t()) + w.b_v).detach().requires_grad_();
  const at::Tensor h = s.tanh();
  const at::Tensor u = DeepModel().mlm_decoder()[12] - DeepModel().mlm_decoder()[13];
  const at::Tensor y = (w.g * at::matmul(h / h.square().sum().sqrt(), u)).squeeze();
  y.backward();
  ExpectNear(value.bias, (s.grad() * w.b_v).sum().unsqueeze(0), kNear);
  ExpectNear(value.gap, (y - (s.grad() * s).sum()).detach().unsqueeze(0), kNear);
}

TEST(DirectLogit, SecantScalesEveryChannelOfTheHead) {
  lifescope::Run run = DeepRun();
  const int64_t direct = AddRead(&run, DirectLogitRead{12, 13, Linearisation::kSecant}, At({5}));
  const int64_t final = AddRead(&run, ActivationRead{Point(kFinal)}, At({5}));
  const int64_t mlp = AddRead(&run, ActivationRead{Point("blocks.2.hook_mlp_contrib")}, At({5}));
  const RunResult result = Execute(run, DeepModel());
  const MlmHeadWeights& w = DeepModel().weights().mlm;
  const at::Tensor s = (at::matmul(TensorOf(result.clean[1], final), w.v.t()) + w.b_v)[0];
  const at::Tensor part = at::matmul(TensorOf(result.clean[1], mlp), w.v.t())[0];
  const at::Tensor u = DeepModel().mlm_decoder()[12] - DeepModel().mlm_decoder()[13];
  double dot = 0, square = 0;
  for (int64_t i = 0; i < s.size(0); ++i) {
    const double si = s[i].item<double>(), hi = std::tanh(si);
    dot += u[i].item<double>() * hi / si * part[i].item<double>();
    square += hi * hi;
  }
  const DirectLogitValue& value = DirectOf(result.clean[1], direct);
  EXPECT_EQ(value.components[9], "blocks.2.hook_mlp_contrib");
  EXPECT_NEAR(value.contributions[0][9].item<double>(), w.g.item<double>() * dot / std::sqrt(square), kNear);
}

TEST(DirectLogit, HeadsAndTheirBiasMakeUpTheirLayer) {
  lifescope::Run run = DeepRun();
  const int64_t layers = AddRead(&run, DirectLogitRead{12, 13});
  const int64_t heads =
      AddRead(&run, DirectLogitRead{12, 13, Linearisation::kPoint, DirectLogitRead::Components::kHeads});
  const int64_t final = AddActivationRead(&run, kFinal);
  const int64_t z = AddActivationRead(&run, "blocks.1.attn.hook_z");
  const RunResult result = Execute(run, DeepModel());
  const DirectLogitValue& by_layer = DirectOf(result.clean[0], layers);
  const DirectLogitValue& by_head = DirectOf(result.clean[0], heads);
  const auto column = [](const DirectLogitValue& value, const std::string& name) {
    const auto found = std::find(value.components.begin(), value.components.end(), name);
    EXPECT_NE(found, value.components.end()) << name;
    return value.contributions.select(1, found - value.components.begin());
  };
  at::Tensor sum = column(by_head, "blocks.1.attn.bias");
  for (const char* head : {"0", "1", "2", "3"}) {
    sum = sum + column(by_head, std::string("blocks.1.attn.heads.") + head);
  }
  ExpectNear(sum, column(by_layer, "blocks.1.hook_attn_contrib"), kNear);
  // A head writes its z times its columns of the output projection and the gate.
  const BlockWeights& w = DeepModel().weights().blocks[1];
  const at::Tensor write =
      w.gate_attention * at::matmul(TensorOf(result.clean[0], z).select(1, 2), w.w_o.slice(1, 8, 12).t());
  ExpectNear(column(by_head, "blocks.1.attn.heads.2"),
             (write * GradientOf(TensorOf(result.clean[0], final), 12, 13)).sum(1), kNear);
}

TEST(DirectLogit, ShowsWhatAnEditAddsToTheStreamItself) {
  lifescope::Run run = DeepRun();
  const int64_t direct = AddRead(&run, DirectLogitRead{12, 13}, At({3, 5}));
  const int64_t final = AddRead(&run, ActivationRead{Point(kFinal)}, At({3, 5}));
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point("blocks.1.hook_resid_post")}, Add{{0.25}}, At({5}))});
  const RunResult result = Execute(run, DeepModel());
  const DocumentResult& edited = result.interventions[0].documents[0];
  const at::Tensor gradient = GradientOf(TensorOf(edited, final), 12, 13);
  const DirectLogitValue& value = DirectOf(edited, direct);
  const at::Tensor edits = value.contributions.select(1, value.contributions.size(1) - 1);
  EXPECT_NEAR(edits[0].item<double>(), 0, kNear);
  EXPECT_NEAR(edits[1].item<double>(), 0.25 * gradient[1].sum().item<double>(), kNear);
}

}  // namespace
}  // namespace lifescope
