// Gradients and attribution patching of the published implementation on struct_small (golden/life2vec/README.md).
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/intervention/attribution/attribution.h"
#include "tests/intervention/small_run.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

class GoldenAttribution : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  GoldenAttribution()
      : json_(nlohmann::json::parse(ReadFile(GoldenPath("life2vec/struct_small/interventions.json")))),
        f32_(SafetensorsFile::Open(GoldenPath("life2vec/struct_small/interventions.f32.safetensors"))),
        f64_(SafetensorsFile::Open(GoldenPath("life2vec/struct_small/interventions.f64.safetensors"))),
        model_(LoadModel(GoldenPath("life2vec/struct_small"), GetParam(), at::kCPU).transformer),
        metric_(LogitDifferenceMetric{json_["masked_position"], json_["token_a"], json_["token_b"]}) {
    options_.n_slots = json_["L"];
    for (const char* name :
         {"hook_embed", "blocks.0.hook_resid_post", "blocks.1.hook_resid_post", "blocks.2.hook_resid_post"}) {
      points_.push_back(Point(name));
    }
  }

  // float32: 1e-4 of the largest reference value (golden/life2vec/README.md).
  void Expect(const at::Tensor& actual, const std::string& name) const {
    const bool is_double = GetParam() == at::kDouble;
    const at::Tensor expected = is_double ? f64_.Read(name) : f32_.Read(name);
    const std::string family = "interventions " + name.substr(0, name.find('.')) + (is_double ? " f64" : " f32");
    if (is_double) {
      ExpectClose(actual, expected, 1e-10, 1e-9, family);
    } else {
      ExpectClose(actual, expected, 1e-4 * expected.abs().max().item<double>(), 0, family);
    }
  }

  at::Tensor Matrix(GradientRule rule) const {
    std::vector<at::Tensor> rows;
    for (const HookPoint& point : points_) {
      AttributionRequest request{GoldenDocument(f32_, "corrupt"), metric_, ActivationNodes{point},
                                 DocumentBaseline{GoldenDocument(f32_, "clean")}, rule};
      request.options = options_;
      rows.push_back(Attribute(request, *model_).effects);
    }
    return at::stack(rows);
  }

  const nlohmann::json json_;
  const SafetensorsFile f32_, f64_;
  const std::shared_ptr<const Transformer> model_;
  const Metric metric_;
  GradientOptions options_;
  std::vector<HookPoint> points_;
};

TEST_P(GoldenAttribution, Gradients) {
  for (const std::string name : {"corrupt", "clean"}) {
    const ActivationGradients at = GradientsAt(GoldenDocument(f32_, name), metric_, *model_, points_, options_);
    Expect(at::stack(at.gradients), "grad." + name);
  }
}

TEST_P(GoldenAttribution, PatchingMatrices) {
  Expect(Matrix(GradientRule::kAtValue), "patch.attribution_at_corrupt");
  Expect(Matrix(GradientRule::kAtBaseline), "patch.attribution_at_clean");
}

INSTANTIATE_TEST_SUITE_P(Precisions, GoldenAttribution, ::testing::Values(at::kFloat, at::kDouble),
                         [](const auto& info) { return info.param == at::kFloat ? "Float32" : "Float64"; });

}  // namespace
}  // namespace lifescope
