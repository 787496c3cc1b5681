// Interventions of the published implementation on struct_small (golden/life2vec/README.md, "Interventions").
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "tests/intervention/small_run.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

constexpr char kFinal[] = "blocks.2.hook_resid_post";

class GoldenIntervention : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  GoldenIntervention()
      : json_(nlohmann::json::parse(ReadFile(GoldenPath("life2vec/struct_small/interventions.json")))),
        f32_(SafetensorsFile::Open(GoldenPath("life2vec/struct_small/interventions.f32.safetensors"))),
        f64_(SafetensorsFile::Open(GoldenPath("life2vec/struct_small/interventions.f64.safetensors"))),
        model_(LoadModel(GoldenPath("life2vec/struct_small"), GetParam(), at::kCPU).transformer) {
    run_.n_slots = json_["L"];
    run_.documents = {GoldenDocument(f32_, "clean"), GoldenDocument(f32_, "corrupt"), GoldenDocument(f32_, "other")};
  }

  // Reads at the masked position, of the documents that are edited.
  void AddMetric() {
    metric_ = AddRead(&run_, LogitDifferenceRead{json_["token_a"], json_["token_b"]}, At({json_["masked_position"]}));
  }
  void AddAllReads() {
    AddMetric();
    final_ = AddActivationRead(&run_, kFinal);
    logits_ = AddRead(&run_, MlmLogitsRead{});
    sop_ = AddRead(&run_, SopLogitsRead{});
  }

  bool is_double() const { return GetParam() == at::kDouble; }

  // The float64 tensor where the set has it and the run is float64.
  void Expect(const at::Tensor& actual, const std::string& name, double absolute32) const {
    const std::string family = "interventions " + name.substr(0, name.find('.')) + (is_double() ? " f64" : " f32");
    if (is_double()) {
      if (f64_.Contains(name)) ExpectClose(actual, f64_.Read(name).view(actual.sizes()), 1e-10, 1e-9, family);
    } else {
      ExpectClose(actual, f32_.Read(name).view(actual.sizes()), absolute32, 1e-4, family);
    }
  }

  void ExpectAllReads(const DocumentResult& result, const std::string& name) const {
    Expect(TensorOf(result, metric_), name + ".metric", 5e-5);
    Expect(TensorOf(result, final_), name + ".final", 2e-5);
    Expect(TensorOf(result, sop_), name + ".sop_logits", 2e-5);
    const std::string document = name.rfind("base.", 0) == 0 ? name.substr(5) : "clean";
    const at::Tensor positions = f32_.Read(document + ".target_pos")[0];
    Expect(TensorOf(result, logits_).index_select(0, positions), name + ".mlm_logits", 5e-5);
  }

  const nlohmann::json json_;
  const SafetensorsFile f32_, f64_;
  const std::shared_ptr<const Transformer> model_;
  lifescope::Run run_;
  int64_t metric_ = -1, final_ = -1, logits_ = -1, sop_ = -1;
};

TEST_P(GoldenIntervention, UneditedRuns) {
  AddAllReads();
  std::vector<std::pair<std::string, int64_t>> activations = {{"embed", AddActivationRead(&run_, "hook_embed")}};
  for (int64_t layer = 0; layer < 3; ++layer) {
    const std::string number = std::to_string(layer);
    activations.emplace_back("layers." + number + ".resid_post",
                             AddActivationRead(&run_, "blocks." + number + ".hook_resid_post"));
  }
  const RunResult result = Execute(run_, *model_);
  const char* names[] = {"base.clean", "base.corrupt", "base.other"};
  for (size_t d = 0; d < 3; ++d) {
    ExpectAllReads(result.clean[d], names[d]);
    for (const auto& [name, read] : activations) {
      Expect(TensorOf(result.clean[d], read), names[d] + ("." + name), 2e-5);
    }
  }
}

TEST_P(GoldenIntervention, Ablations) {
  AddAllReads();
  const EditTarget target =
      ActivationTarget{Point("blocks." + std::to_string(json_["abl_layer"].get<int64_t>()) + ".hook_resid_post")};
  const at::Tensor mean = f32_.Read("mean_vector").to(at::kDouble);
  const std::vector<double> values(mean.data_ptr<double>(), mean.data_ptr<double>() + mean.numel());
  AddIntervention(&run_, {MakeEdit(target, Zero{}, At({json_["abl_pos"]}), {0})});
  AddIntervention(&run_, {MakeEdit(target, SetTo{values}, At({json_["abl_pos"]}), {0})});
  const RunResult result = Execute(run_, *model_);
  ExpectAllReads(result.interventions[0].documents[0], "ablate_zero");
  ExpectAllReads(result.interventions[1].documents[0], "ablate_mean");
}

TEST_P(GoldenIntervention, HeadsFromAnotherPerson) {
  AddAllReads();
  const std::vector<int64_t> heads = json_["heads"];
  for (const int64_t head : heads) {
    AddIntervention(&run_, {MakeEdit(HeadTarget{json_["head_layer"], head}, Donor{2, {}}, {}, {0})});
  }
  const RunResult result = Execute(run_, *model_);
  for (size_t i = 0; i < heads.size(); ++i) {
    ExpectAllReads(result.interventions[i].documents[0], "head_swap_" + std::to_string(heads[i]));
  }
}

// The clean run's vectors in the corrupt run, one at a time.
TEST_P(GoldenIntervention, DenoisingMatrix) {
  AddMetric();
  run_.reads[0].documents = {1};
  const int64_t length = json_["L"];
  const char* points[] = {"hook_embed", "blocks.0.hook_resid_post", "blocks.1.hook_resid_post",
                          "blocks.2.hook_resid_post"};
  for (const char* point : points) {
    for (int64_t position = 0; position < length; ++position) {
      AddIntervention(&run_, {MakeEdit(ActivationTarget{Point(point)}, Donor{0, {}}, At({position}), {1})});
    }
  }
  const RunResult result = Execute(run_, *model_);
  std::vector<at::Tensor> metrics;
  for (const InterventionResult& intervention : result.interventions) {
    metrics.push_back(TensorOf(intervention.documents[0], metric_));
  }
  Expect(at::cat(metrics).view({4, length}), "patch.denoise_metric", 5e-5);
}

INSTANTIATE_TEST_SUITE_P(Precisions, GoldenIntervention, ::testing::Values(at::kFloat, at::kDouble),
                         [](const auto& info) { return info.param == at::kFloat ? "Float32" : "Float64"; });

}  // namespace
}  // namespace lifescope
