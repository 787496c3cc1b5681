// Patching and attribution find the one circuit of a model that was built with it, and nothing else.
#include "tests/intervention/attribution/planted_circuit.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "server/intervention/attribution/attribution.h"
#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

constexpr int64_t kLength = 12;

class PlantedCircuit : public ::testing::Test {
 protected:
  // (patched - corrupted) / (clean - corrupted) of each intervention on the corrupted document.
  at::Tensor Normalised() {
    run_.documents = {PlantedDocument(kSourceToken), PlantedDocument(kOtherToken)};
    const int64_t read = AddRead(&run_, LogitDifferenceRead{kAnswerToken, kWrongToken}, At({kReaderPosition}));
    const RunResult result = Execute(run_, model_);
    const at::Tensor clean = TensorOf(result.clean[0], read), corrupted = TensorOf(result.clean[1], read);
    EXPECT_GT((clean - corrupted).item<double>(), 1);
    std::vector<at::Tensor> effects;
    for (const InterventionResult& intervention : result.interventions) {
      effects.push_back((TensorOf(intervention.documents[0], read) - corrupted) / (clean - corrupted));
    }
    return at::cat(effects);
  }
  // Puts the clean document's value into the corrupted one.
  void Patch(EditTarget target, std::vector<int64_t> positions) {
    AddIntervention(&run_, {MakeEdit(std::move(target), Donor{0, {}}, At(std::move(positions)), {1})});
  }

  Attribution Explain(const std::string& point, ActivationUnit unit, GradientRule rule) const {
    AttributionRequest request{
        PlantedDocument(kOtherToken), LogitDifferenceMetric{kReaderPosition, kAnswerToken, kWrongToken},
        ActivationNodes{Point(point), unit}, DocumentBaseline{PlantedDocument(kSourceToken)}, rule};
    request.steps = 200;
    return Attribute(request, model_);
  }

  const Transformer model_ = PlantedModel();
  lifescope::Run run_;
};

// `effects` is 1 at `node` and 0 elsewhere.
void ExpectOnly(const at::Tensor& effects, int64_t node, double tolerance) {
  for (int64_t i = 0; i < effects.numel(); ++i) {
    EXPECT_NEAR(effects.flatten()[i].item<double>(), i == node ? 1 : 0, tolerance) << "node " << i;
  }
}

TEST_F(PlantedCircuit, PatchingFindsThePositionOfEveryLayer) {
  const char* points[] = {"hook_embed", "blocks.0.hook_resid_post", "blocks.1.hook_resid_post"};
  for (const char* point : points) {
    for (int64_t position = 0; position < kLength; ++position) Patch(ActivationTarget{Point(point)}, {position});
  }
  const at::Tensor effects = Normalised().view({3, kLength});
  ExpectOnly(effects[0], kSourcePosition, 1e-9);
  ExpectOnly(effects[1], kReaderPosition, 1e-9);
  ExpectOnly(effects[2], kReaderPosition, 1e-9);
}

TEST_F(PlantedCircuit, PatchingFindsTheHeadAndTheNeuron) {
  for (int64_t layer = 0; layer < 2; ++layer) {
    for (int64_t head = 0; head < 4; ++head) Patch(HeadTarget{layer, head}, {kReaderPosition});
  }
  for (int64_t layer = 0; layer < 2; ++layer) {
    for (int64_t neuron = 0; neuron < 8; ++neuron) Patch(NeuronTarget{layer, {neuron}}, {kReaderPosition});
  }
  const at::Tensor effects = Normalised();
  ExpectOnly(effects.slice(0, 0, 8), kPlantedHead, 1e-9);
  ExpectOnly(effects.slice(0, 8, 24), 8 + kPlantedNeuron, 1e-9);
}

TEST_F(PlantedCircuit, IntegratedGradientsFindThem) {
  const auto share = [&](const Attribution& a) { return a.effects / (a.metric_baseline - a.metric_value); };
  const Attribution embedding = Explain("hook_embed", ActivationUnit::kPosition, GradientRule::kIntegratedMidpoint);
  ExpectOnly(share(embedding), kSourcePosition, 0.02);
  const Attribution heads = Explain("blocks.0.attn.hook_z", ActivationUnit::kHead, GradientRule::kIntegratedMidpoint);
  ExpectOnly(share(heads), kReaderPosition * 4 + kPlantedHead, 0.02);
  const Attribution neurons =
      Explain("blocks.1.mlp.hook_post", ActivationUnit::kChannel, GradientRule::kIntegratedMidpoint);
  ExpectOnly(share(neurons), kReaderPosition * 8 + kPlantedNeuron, 1e-3);
}

// Why controls and exact checks are reported: the neuron is off in the corrupted run, and its gradient is 0 there.
TEST_F(PlantedCircuit, TheGradientOfASilentNeuronSeesNothing) {
  const Attribution at_value = Explain("blocks.0.attn.hook_z", ActivationUnit::kHead, GradientRule::kAtValue);
  EXPECT_EQ(at_value.effects.abs().max().item<double>(), 0);
  EXPECT_LT(at_value.completeness_residual, -1);
  const Attribution at_baseline = Explain("blocks.0.attn.hook_z", ActivationUnit::kHead, GradientRule::kAtBaseline);
  EXPECT_EQ(at_baseline.effects.abs().argmax().item<int64_t>(), kReaderPosition * 4 + kPlantedHead);
}

}  // namespace
}  // namespace lifescope
