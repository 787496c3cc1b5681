// Codebooks against their reference: forward values, loss, gradients and interventions on the choice of codes.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "server/dictionary/training/codebook_objective.h"
#include "server/dictionary/training/sae_trainer.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/dictionary_training/fixture.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using CodesLearnFrom = CodebookOptions::CodesLearnFrom;

class CodebookFixture : public testing::TestWithParam<std::tuple<std::string, at::ScalarType>> {
 protected:
  void SetUp() override {
    if (!HasGolden("sae/train/" + name())) GTEST_SKIP() << "the small golden set has no sae/train/" << name();
  }
  const std::string& name() const { return std::get<0>(GetParam()); }
  at::ScalarType dtype() const { return std::get<1>(GetParam()); }
  bool is_double() const { return dtype() == at::kDouble; }
  at::Tensor Rows(const Fixture& fixture, const std::string& tensor) const {
    return fixture.file().Read(tensor).to(dtype()).flatten(0, -2).contiguous();
  }
  Parameters InitialParameters(const Fixture& fixture) const {
    return {{kDecoder, fixture.file().Read("w0/codebook").to(dtype())},
            {kNormWeight, fixture.file().Read("w0/ln.weight").to(dtype())},
            {kNormBias, fixture.file().Read("w0/ln.bias").to(dtype())}};
  }
  // 1e-10 in float64 and 1.5e-6 in float32, of the largest element.
  void Expect(const at::Tensor& actual, const at::Tensor& expected, const std::string& part) const {
    std::string family = "sae.train." + name() + "." + part;
    family += is_double() ? ".f64" : ".f32";
    ExpectClose(actual, expected, (is_double() ? 1e-10 : 1.5e-6) * expected.abs().max().item<double>(), 0, family);
  }
};

CodebookObjective ObjectiveOf(const Fixture& fixture) {
  const std::string loss = fixture.hyper()["loss"];
  const size_t dash = loss.find('-');
  const std::string kind = loss.substr(0, dash);
  CodebookOptions options;
  options.width = fixture.input_dim();
  options.code_count = fixture.hyper()["num_codes"];
  options.k = fixture.hyper()["k"];
  if (fixture.hyper()["similarity"] == "euclidean") options.similarity = CodeSimilarity::kEuclidean;
  options.codes_learn_from = kind == "base"    ? CodesLearnFrom::kOutput
                             : kind == "vqvae" ? CodesLearnFrom::kDistance
                                               : CodesLearnFrom::kBoth;
  if (dash != std::string::npos) options.commitment_coefficient = std::stod(loss.substr(dash + 1));
  return CodebookObjective(options);
}

TEST_P(CodebookFixture, LossAndGradients) {
  const Fixture fixture(name());
  const CodebookObjective objective = ObjectiveOf(fixture);
  Parameters parameters = InitialParameters(fixture);
  for (auto& [key, parameter] : parameters) parameter.requires_grad_(true);
  const TrainingRows rows{Rows(fixture, "in/x").requires_grad_(true), Rows(fixture, "in/target")};
  const DifferentiableLoss loss = objective.Loss(parameters, objective.InitialState(), rows, {});
  loss.total.backward();

  Expect(at::scalar_tensor(loss.terms.at("mse"), at::kDouble), fixture.file().Read("f64/loss"), "loss");
  if (loss.terms.count("codes") > 0) {
    Expect(at::scalar_tensor(loss.terms.at("codes"), at::kDouble), fixture.file().Read("f64/mse"), "loss");
  }
  Expect(rows.input.grad(), fixture.file().Read("f64/grad_x").flatten(0, -2), "grad");
  Expect(parameters.at(kDecoder).grad(), fixture.file().Read("f64/grad_codebook"), "grad");
  Expect(parameters.at(kNormWeight).grad(), fixture.file().Read("f64/grad_ln_w"), "grad");
  Expect(parameters.at(kNormBias).grad(), fixture.file().Read("f64/grad_ln_b"), "grad");
}

TEST_P(CodebookFixture, ChoosesCodesAndLetsThemBeDisabled) {
  const Fixture fixture(name());
  const CodebookObjective objective = ObjectiveOf(fixture);
  const auto codebook =
      MakeCodebook(objective.Export(InitialParameters(fixture), objective.InitialState()), dtype(), at::kCPU, "test");
  const at::Tensor x = Rows(fixture, "in/x");
  const at::Tensor ids = fixture.file().Read("f64/codebook_ids").flatten(0, -2);
  const at::Tensor acts = codebook->Encode(x);
  EXPECT_TRUE(at::equal(acts.nonzero().select(1, 1).view(ids.sizes()), std::get<0>(ids.sort(1))));

  const auto expect = [&](const CodeChoice& choice, const std::string& golden) {
    Expect(codebook->Decode(codebook->Encode(x, choice), x), fixture.file().Read("f64/" + golden).flatten(0, -2),
           "forward");
  };
  const int64_t code = ids[0][0].item<int64_t>();
  expect({}, "out");
  expect({{code}, /*refill=*/true}, "out_disable_code");
  expect({{code}, /*refill=*/false}, "out_disable_code_no_refill");
  expect({{}, true, /*skipped_ranks=*/1}, "out_disable_top1");
}

std::string CodebookName(const testing::TestParamInfo<CodebookFixture::ParamType>& info) {
  return std::get<0>(info.param) + (std::get<1>(info.param) == at::kDouble ? "_f64" : "_f32");
}

INSTANTIATE_TEST_SUITE_P(Codebook, CodebookFixture,
                         testing::Combine(testing::Values("codebook_euclid_vqvae", "codebook_innerproduct_base",
                                                          "codebook_innerproduct_aeloss",
                                                          "codebook_innerproduct_fullaeloss"),
                                          testing::Values(at::kDouble, at::kFloat)),
                         CodebookName);

TEST(CodebookObjective, LearnsTheClustersOfItsRows) {
  RandomTensors random(3);
  const at::Tensor centres = random.Normal({4, 16});
  const at::Tensor rows = centres.repeat({16, 1}) + 0.01 * random.Normal({64, 16});
  CodebookOptions options;
  options.width = 16;
  options.code_count = 32;
  options.codes_learn_from = CodesLearnFrom::kBoth;
  SaeTrainerOptions loop;
  loop.schedule.peak = 0.05;
  SaeTrainer trainer(std::make_shared<CodebookObjective>(options), loop);
  const double first = trainer.Step({rows, rows}).fvu;
  double fvu = first;
  for (int step = 0; step < 300; ++step) fvu = trainer.Step({rows, rows}).fvu;
  // Clusters that chose the same code at the start share it.
  EXPECT_LT(fvu, 0.3);
  EXPECT_LT(fvu, first / 3);
}

TEST(Codebook, RefusesWhatItCannotChoose) {
  RandomTensors random(4);
  DictionaryWeights weights;
  weights.architecture = "codebook";
  weights.tensors = {{"codes", random.Normal({5, 3})}, {"norm_weight", at::ones({3})}, {"norm_bias", at::zeros({3})}};
  weights.k = 4;
  weights.apply_b_dec_to_input = false;
  const at::Tensor x = random.Normal({2, 3});
  const auto codebook = MakeCodebook(weights, at::kDouble, at::kCPU, "test");
  EXPECT_NO_THROW(codebook->Encode(x, {{1, 1}, true, 0}));
  EXPECT_THROW(codebook->Encode(x, {{1, 2}, true, 0}), c10::ValueError);
  EXPECT_NO_THROW(codebook->Encode(x, {{1, 2}, false, 0}));
  EXPECT_THROW(codebook->Encode(x, {{5}, false, 0}), c10::IndexError);
  EXPECT_THROW(codebook->Encode(x, {{}, true, 2}), c10::ValueError);
  weights.k = 6;
  EXPECT_THROW(CheckWeights(weights), c10::ValueError);
  weights.k = 4;
  weights.tensors["b_dec"] = at::zeros({3});
  EXPECT_THROW(MakeDictionary(weights, at::kFloat, at::kCPU), c10::ValueError);
  weights.tensors.erase("b_dec");
  weights.normalisation = Normalisation::kLayerNorm;
  EXPECT_THROW(CheckWeights(weights), c10::ValueError);
  weights.normalisation = Normalisation::kNone;
  weights.tensors["norm_bias"] = at::zeros({2});
  EXPECT_THROW(MakeDictionary(weights, at::kFloat, at::kCPU), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
