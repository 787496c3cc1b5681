// Ablation, head swaps, patching, gradients and attribution of the small trained model against the published code, by
// hooks alone.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/StringUtil.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/artifact/artifact.h"
#include "tests/model/golden_batch.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

constexpr char kFolder[] = "life2vec/struct_small/";

class GoldenInterventions : public testing::TestWithParam<at::ScalarType> {
 protected:
  GoldenInterventions()
      : dtype_(GetParam()),
        suffix_(c10::str(".", GoldenSuffix(dtype_))),
        model_(GoldenModel("struct_small", dtype_)),
        inputs_(SafetensorsFile::Open(GoldenPath(std::string(kFolder) + "interventions.f32.safetensors"))),
        expected_(SafetensorsFile::Open(GoldenPath(kFolder + ("interventions" + suffix_ + ".safetensors")))),
        about_(nlohmann::json::parse(ReadFile(GoldenPath(std::string(kFolder) + "interventions.json")))) {}

  PackedBatch Document(const std::string& name) const {
    return PackGolden(inputs_.Read(name + ".input_ids"), inputs_.Read(name + ".padding_mask"));
  }

  at::Tensor Forward(const PackedBatch& batch, const Hooks& hooks) const {
    ForwardOptions options;
    options.hooks = &hooks;
    return model_->Forward(batch, options);
  }

  // Difference of two logits at the masked position of one document's final residual stream.
  at::Tensor Metric(const at::Tensor& final) const {
    const at::Tensor logits = model_->MlmLogits(final.slice(0, Id("masked_position"), Id("masked_position") + 1))[0];
    return logits[Id("token_a")] - logits[Id("token_b")];
  }

  // The four points of the golden patching maps: the embedding and every layer's output.
  static HookPoint RowPoint(int64_t row) {
    return row == 0 ? HookPoint{Site::kEmbed, -1} : HookPoint{Site::kResidPost, row - 1};
  }
  at::Tensor ActivationAt(int64_t row, const std::string& document) const {
    at::Tensor activation;
    Hooks hooks;
    hooks.Capture(RowPoint(row), &activation);
    Forward(Document(document), hooks);
    return activation.detach();
  }

  // Gradient of the metric with respect to the activation at a point, made a leaf by a hook.
  at::Tensor GradientAt(int64_t row, const std::string& document) const {
    at::Tensor leaf;
    Hooks hooks;
    hooks.Add(RowPoint(row), [&leaf](const at::Tensor& activation) {
      leaf = activation.detach().requires_grad_(true);
      return leaf;
    });
    Metric(Forward(Document(document), hooks)).backward();
    return leaf.grad();
  }

  void ExpectOutputs(const std::string& prefix, const at::Tensor& final) const {
    const Tolerance activation = ActivationTolerance(dtype_), logit = LogitTolerance(dtype_);
    const auto expect = [&](const std::string& name, const at::Tensor& actual, Tolerance tolerance) {
      if (!expected_.Contains(prefix + "." + name)) return;
      SCOPED_TRACE(prefix + "." + name);
      ExpectClose(actual, expected_.Read(prefix + "." + name), tolerance.absolute, tolerance.relative,
                  "life2vec.intervention." + name + suffix_);
    };
    const at::Tensor target = inputs_.Read("clean.target_pos")[0];
    expect("final", final.unsqueeze(0), activation);
    expect("mlm_logits", model_->MlmLogits(final.index_select(0, target)).unsqueeze(0), logit);
    expect("sop_logits", model_->SopLogits(final.slice(0, 0, 1)), logit);
    expect("metric", Metric(final).reshape({1}), logit);
  }

  // Tolerance of gradients: relative to the largest element.
  void ExpectGradient(const std::string& name, const at::Tensor& actual) const {
    if (!expected_.Contains(name)) return;
    const at::Tensor expected = expected_.Read(name);
    const double scale = expected.abs().max().item<double>();
    ExpectClose(actual, expected, (dtype_ == at::kDouble ? 1e-9 : 1e-4) * scale, 0, "life2vec." + name + suffix_);
  }

  int64_t Id(const char* field) const { return about_[field].get<int64_t>(); }

  const at::ScalarType dtype_;
  const std::string suffix_;
  std::shared_ptr<const Transformer> model_;
  SafetensorsFile inputs_, expected_;
  nlohmann::json about_;
};

TEST_P(GoldenInterventions, UneditedRunsAreTheBase) {
  const c10::NoGradGuard no_grad;
  for (const std::string document : {"clean", "corrupt", "other"}) {
    at::Tensor activation[4];
    Hooks hooks;
    for (int64_t row = 0; row < 4; ++row) hooks.Capture(RowPoint(row), &activation[row]);
    ExpectOutputs("base." + document, Forward(Document(document), hooks));
    for (int64_t row = 0; row < 4; ++row) {
      const std::string place = row == 0 ? "embed" : c10::str("layers.", row - 1, ".resid_post");
      const std::string name = "base." + document + "." + place;
      if (!expected_.Contains(name)) continue;
      const Tolerance tolerance = ActivationTolerance(dtype_);
      ExpectClose(activation[row].unsqueeze(0), expected_.Read(name), tolerance.absolute, tolerance.relative,
                  "life2vec.intervention.base" + suffix_);
    }
  }
}

TEST_P(GoldenInterventions, AblationOfOnePosition) {
  const c10::NoGradGuard no_grad;
  const at::Tensor zero = at::zeros({model_->hyperparameters().hidden_size}, dtype_);
  const at::Tensor mean = inputs_.Read("mean_vector").to(dtype_);
  for (const auto& [name, vector] : {std::pair{"ablate_zero", zero}, std::pair{"ablate_mean", mean}}) {
    Hooks hooks;
    hooks.Add({Site::kResidPost, Id("abl_layer")}, [&, vector = vector](const at::Tensor& activation) {
      at::Tensor edited = activation.clone();
      edited[Id("abl_pos")].copy_(vector);
      return edited;
    });
    ExpectOutputs(name, Forward(Document("clean"), hooks));
  }
}

TEST_P(GoldenInterventions, SwapOfOneHead) {
  const c10::NoGradGuard no_grad;
  const HookPoint point{Site::kZ, Id("head_layer")};
  at::Tensor other;
  Hooks capture;
  capture.Capture(point, &other);
  Forward(Document("other"), capture);
  for (const int64_t head : about_["heads"].get<std::vector<int64_t>>()) {
    Hooks hooks;
    hooks.Add(point, [&](const at::Tensor& activation) {
      at::Tensor edited = activation.clone();
      edited.select(1, head).copy_(other.select(1, head));
      return edited;
    });
    ExpectOutputs(c10::str("head_swap_", head), Forward(Document("clean"), hooks));
  }
}

// One document per position, all in one batch, each with one vector of the clean run.
TEST_P(GoldenInterventions, PatchingMap) {
  const c10::NoGradGuard no_grad;
  const int64_t length = Id("length");
  const at::Tensor ids = inputs_.Read("corrupt.input_ids").expand({length, -1, -1});
  const PackedBatch batch = PackGolden(ids, inputs_.Read("corrupt.padding_mask").expand({length, -1}));
  std::vector<at::Tensor> map;
  for (int64_t row = 0; row < 4; ++row) {
    const at::Tensor clean = ActivationAt(row, "clean");
    Hooks hooks;
    hooks.Add(RowPoint(row), [&](const at::Tensor& activation) {
      at::Tensor edited = activation.clone().view({length, length, -1});
      for (int64_t position = 0; position < length; ++position) edited[position][position].copy_(clean[position]);
      return edited.view_as(activation);
    });
    const at::Tensor final = Forward(batch, hooks).view({length, length, -1});
    for (int64_t document = 0; document < length; ++document) map.push_back(Metric(final[document]));
  }
  const Tolerance tolerance = LogitTolerance(dtype_);
  if (!expected_.Contains("patch.denoise_metric")) GTEST_SKIP() << "no patching map in" << suffix_;
  ExpectClose(at::stack(map).view({4, length}), expected_.Read("patch.denoise_metric"), tolerance.absolute,
              tolerance.relative, "life2vec.patch.denoise_metric" + suffix_);
}

TEST_P(GoldenInterventions, GradientsAndAttribution) {
  std::vector<at::Tensor> difference;
  for (int64_t row = 0; row < 4; ++row) difference.push_back(ActivationAt(row, "clean") - ActivationAt(row, "corrupt"));
  for (const std::string document : {"clean", "corrupt"}) {
    std::vector<at::Tensor> gradient;
    for (int64_t row = 0; row < 4; ++row) gradient.push_back(GradientAt(row, document));
    ExpectGradient("grad." + document, at::stack(gradient));
    ExpectGradient("patch.attribution_at_" + document, (at::stack(difference) * at::stack(gradient)).sum(-1));
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenInterventions, testing::Values(at::kFloat, at::kDouble),
                         [](const auto& info) { return GoldenSuffix(info.param); });

}  // namespace
}  // namespace lifescope
