// The trainer against five steps of the reference (golden sae/train/dl_topk_auxk).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/dictionary/geometric_median.h"
#include "server/dictionary/topk_trainer.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

const std::vector<std::string> kParameters{"encoder.weight", "encoder.bias", "decoder.weight", "b_dec"};

class TopKTrainerGolden : public testing::TestWithParam<at::ScalarType> {
 protected:
  bool is_double() const { return GetParam() == at::kDouble; }
  std::string precision() const { return is_double() ? "f64" : "f32"; }
  std::string Family(const std::string& part) const { return "sae.train.dl_topk_auxk." + part + "." + precision(); }
  double Recommended(const char* name) const { return json_["recommended_atol"][name]; }
  at::Tensor Batch(int64_t i) const { return file_.Read("in/x")[i].to(GetParam()); }

  void ExpectRelativeToLargest(const at::Tensor& actual, const std::string& golden, double in_double, double in_float,
                               const std::string& part) const {
    const at::Tensor expected = file_.Read(golden);
    const double largest = expected.abs().max().item<double>();
    ExpectClose(actual, expected, (is_double() ? in_double : in_float) * largest, 0, Family(part));
  }

  TopKTrainerOptions Options() const {
    const nlohmann::json& hyper = json_["hyper"];
    TopKTrainerOptions options;
    options.activation_dim = json_["d_in"];
    options.feature_count = json_["n_features"];
    options.k = hyper["k"];
    options.learning_rate = hyper["lr"];
    options.auxk_alpha = hyper["auxk_alpha"];
    options.dead_after_rows = hyper["dead_feature_threshold"];
    options.warmup_steps = hyper["warmup_steps"];
    options.gradient_clip = hyper["grad_clip"];
    options.dtype = GetParam();
    return options;
  }

  TopKTrainer MakeTrainer(const TopKTrainerOptions& options) const {
    TopKTrainer trainer(options);
    auto state = trainer.State();
    for (const std::string& name : kParameters) state[name] = file_.Read("w0/" + name);
    state["rows_since_fired"] = file_.Read("in/num_tokens_since_fired0");
    trainer.Restore(state);
    return trainer;
  }

  SafetensorsFile file_ = SafetensorsFile::Open(GoldenPath("sae/train/dl_topk_auxk/fixture.safetensors"));
  nlohmann::json json_ = nlohmann::json::parse(ReadFile(GoldenPath("sae/train/dl_topk_auxk/fixture.json")));
};

TEST_P(TopKTrainerGolden, ForwardIsTheReference) {
  TopKTrainerOptions options = Options();
  // The learning rate of the first step is 0: only b_dec is set.
  options.warmup_steps = 10;
  TopKTrainer trainer = MakeTrainer(options);
  const at::Tensor x = Batch(0);
  trainer.Step(x);
  DictionaryWeights weights = trainer.Fold(1);
  const std::map<std::string, at::Tensor>& tensors = weights.tensors;
  const at::Tensor pre = at::addmm(tensors.at("b_enc"), x - tensors.at("b_dec"), tensors.at("W_enc"));
  // The step has brought directions to norm 1 exactly; those of w0 have it to float32.
  weights.tensors["W_dec"] = file_.Read("w0/decoder.weight").to(GetParam()).t();
  const auto sae = MakeDictionary(weights, GetParam(), at::kCPU);
  const at::Tensor acts = sae->Encode(x);
  const double tolerance = is_double() ? 1e-10 : Recommended("forward");
  ExpectClose(pre, file_.Read("f64/pre"), tolerance, 0, Family("pre"));
  ExpectClose(acts, file_.Read("f64/acts"), tolerance, 0, Family("acts"));
  ExpectClose(sae->Decode(acts, x), file_.Read("f64/recon"), tolerance, 0, Family("recon"));
}

TEST_P(TopKTrainerGolden, FirstStepIsTheReference) {
  TopKTrainer trainer = MakeTrainer(Options());
  const TopKStep step = trainer.Step(Batch(0));
  const nlohmann::json& terms = json_["loss_terms_first_step"]["f64"];
  const double relative = is_double() ? 1e-12 : 1e-6;
  const auto scalar = [](double value) { return at::scalar_tensor(value, at::kDouble); };
  ExpectClose(scalar(step.reconstruction), scalar(terms["l2_loss"]), 0, relative, Family("loss"));
  ExpectClose(scalar(step.auxiliary), scalar(terms["auxk_loss"]), 0, relative, Family("loss"));
  ExpectClose(scalar(step.loss), scalar(terms["total"]), 0, relative, Family("loss"));
  for (const std::string& name : kParameters) {
    ExpectRelativeToLargest(trainer.raw_gradients().at(name), "f64/grad_raw/" + name, 1e-10,
                            Recommended("grad_raw_rel_to_max"), "grad_raw");
    // w1 is stored in float32.
    ExpectClose(trainer.parameters().at(name), file_.Read("w1/" + name), is_double() ? 1e-7 : Recommended("w1"), 0,
                Family("w1"));
  }
  ExpectRelativeToLargest(trainer.applied_gradients().at("decoder.weight"), "f64/grad_opt/decoder.weight", 1e-10,
                          Recommended("grad_raw_rel_to_max"), "grad_opt");
  EXPECT_TRUE(at::equal(trainer.State().at("rows_since_fired"), file_.Read("f64/s1/num_tokens_since_fired")));
}

TEST_P(TopKTrainerGolden, FiveStepsAreTheReference) {
  TopKTrainer trainer = MakeTrainer(Options());
  for (int64_t i = 0; i < 5; ++i) {
    const TopKStep step = trainer.Step(Batch(i));
    const nlohmann::json& expected = json_["steps"]["f64"][i];
    EXPECT_NEAR(step.loss, expected["loss"].get<double>(), is_double() ? 1e-10 : 1e-5) << i;
    EXPECT_EQ(step.dead_feature_count, expected["dead_features"].get<int64_t>()) << i;
    EXPECT_EQ(step.l0, 8) << i;
  }
  for (const std::string& name : kParameters) {
    const at::Tensor expected = file_.Read("f64/w5/" + name);
    const double tolerance = is_double() ? 1e-9 * expected.abs().max().item<double>() : Recommended("w5");
    ExpectClose(trainer.parameters().at(name), expected, tolerance, 0, Family("w5"));
  }
  EXPECT_TRUE(at::equal(trainer.State().at("rows_since_fired"), file_.Read("f64/s5/num_tokens_since_fired")));
}

INSTANTIATE_TEST_SUITE_P(Precision, TopKTrainerGolden, testing::Values(at::kFloat, at::kDouble),
                         [](const auto& info) { return info.param == at::kDouble ? "f64" : "f32"; });

TEST(GeometricMedian, IgnoresAFewFarPoints) {
  at::Tensor points = at::zeros({11, 2}, at::kDouble);
  points.narrow(0, 0, 2).fill_(1e3);
  points.select(1, 0).narrow(0, 2, 9).copy_(at::linspace(-1e-3, 1e-3, 9, at::kDouble));
  EXPECT_LT(GeometricMedian(points).norm().item<double>(), 1e-2);
}

TEST(GeometricMedian, OfEqualPointsIsThatPoint) {
  EXPECT_TRUE(at::equal(GeometricMedian(at::full({5, 3}, 2.0)), at::full({3}, 2.0)));
}

}  // namespace
}  // namespace lifescope
