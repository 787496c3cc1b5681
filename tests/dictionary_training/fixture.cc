#include "tests/dictionary_training/fixture.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "server/artifact/artifact.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

bool IsDouble(at::ScalarType dtype) { return dtype == at::kDouble; }

std::string Family(const FixtureCase& c, const std::string& part, at::ScalarType dtype) {
  return "sae.train." + c.name + "." + part + (IsDouble(dtype) ? ".f64" : ".f32");
}

double Recommended(const Fixture& fixture, const char* name) { return fixture.json()["recommended_atol"][name]; }

double Largest(const at::Tensor& tensor) { return tensor.abs().max().item<double>(); }

at::Tensor Ours(const at::Tensor& theirs, const NamedParameter& name, at::IntArrayRef sizes) {
  return (name.transposed ? theirs.flatten(0, -2).t() : theirs).reshape(sizes).contiguous();
}

// A trainer in the state that the fixture starts from.
SaeTrainer MakeTrainer(const FixtureCase& c, const Fixture& fixture, at::ScalarType dtype) {
  SaeTrainerOptions options = c.options;
  options.dtype = dtype;
  SaeTrainer trainer(c.objective, options);
  auto state = trainer.State();
  for (const NamedParameter& name : c.parameters) {
    at::Tensor& parameter = state.at(name.ours);
    parameter = Ours(fixture.file().Read("w0/" + name.theirs), name, parameter.sizes());
  }
  for (const auto& [name, value] : c.initial_state) state["state." + name] = value;
  state["step"] = at::scalar_tensor(fixture.first_step(), at::kLong);
  trainer.Restore(state);
  return trainer;
}

// What the trainer evaluates in its first step: see SaeTrainer::Step.
Parameters FirstParameters(const FixtureCase& c, const Fixture& fixture, const SaeTrainer& trainer,
                           const TrainingRows& rows) {
  Parameters parameters = trainer.parameters();
  if (fixture.first_step() == 0) c.objective->InitialiseFromRows(rows, parameters);
  if (c.options.constraint.normalise == DecoderConstraint::Normalise::kBeforeForward) {
    parameters[kDecoder] = parameters[kDecoder].clone();
    NormaliseRows(c.options.constraint.norm_epsilon, parameters[kDecoder]);
  }
  return parameters;
}

void ExpectTerms(const FixtureCase& c, const Fixture& fixture, const Evaluation& evaluation, at::ScalarType dtype) {
  const nlohmann::json& golden = fixture.json()["loss_terms_first_step"][IsDouble(dtype) ? "f64" : "f32"];
  const auto expect = [&](double actual, double expected) {
    const double relative = IsDouble(dtype) ? 1e-10 : 2e-6;
    ExpectClose(at::scalar_tensor(actual, at::kDouble), at::scalar_tensor(expected, at::kDouble), 1e-12, relative,
                Family(c, "loss", dtype));
  };
  expect(evaluation.loss, golden.at("total"));
  for (const auto& [ours, theirs] : c.terms) {
    SCOPED_TRACE(ours);
    ASSERT_TRUE(evaluation.terms.count(ours));
    expect(evaluation.terms.at(ours), golden.at(theirs));
  }
}

}  // namespace

Fixture::Fixture(const std::string& name)
    : folder_(GoldenPath("sae/train/" + name)),
      json_(nlohmann::json::parse(ReadFile(folder_ + "/fixture.json"))),
      file_(SafetensorsFile::Open(folder_ + "/fixture.safetensors")) {}

TrainingRows Fixture::Batch(int64_t step, at::ScalarType dtype) const {
  const at::Tensor x = file_.Read("in/x")[step].to(dtype).flatten(1).contiguous();
  if (!file_.Contains("in/y")) return {x, x};
  return {x, file_.Read("in/y")[step].to(dtype).contiguous()};
}

int64_t Fixture::first_step() const {
  const nlohmann::json& steps = json_["steps"]["f64"];
  return steps[0].value("step", 0);
}

void TrainingFixture::SetUp() {
  const std::string& name = std::get<0>(GetParam()).name;
  if (!HasGolden("sae/train/" + name)) GTEST_SKIP() << "the small golden set has no sae/train/" << name;
}

std::string FixtureName(const testing::TestParamInfo<TrainingFixture::ParamType>& info) {
  std::string name = std::get<0>(info.param).name;
  std::replace(name.begin(), name.end(), '.', '_');
  return name + (IsDouble(std::get<1>(info.param)) ? "_f64" : "_f32");
}

TEST_P(TrainingFixture, FirstEvaluation) {
  const FixtureCase c = Case();
  const at::ScalarType dtype = this->dtype();
  const Fixture fixture(c.name);
  const SaeTrainer trainer = MakeTrainer(c, fixture, dtype);
  const TrainingRows rows = fixture.Batch(0, dtype);
  const Parameters parameters = FirstParameters(c, fixture, trainer, rows);
  const int64_t step = fixture.first_step();
  const TrainingContext context{step, SparsityScaleAt(c.options.sparsity_warmup_steps, step)};
  const std::map<std::string, Evaluation> paths{
      {"differentiated", Differentiate(*c.objective, parameters, trainer.state(), rows, context)},
      {"evaluated", c.objective->Evaluate(parameters, trainer.state(), rows, context)}};
  for (const auto& [path, evaluation] : paths) {
    SCOPED_TRACE(path);
    ExpectTerms(c, fixture, evaluation, dtype);
    for (const NamedParameter& name : c.parameters) {
      SCOPED_TRACE(name.ours);
      const at::Tensor expected =
          Ours(fixture.file().Read("f64/grad_raw/" + name.theirs), name, parameters.at(name.ours).sizes());
      const auto found = evaluation.gradients.find(name.ours);
      at::Tensor actual = found == evaluation.gradients.end() ? at::zeros_like(expected) : found->second;
      if (c.raw_gradient_is_projected && name.ours == kDecoder) {
        actual = OrthogonalTo(parameters.at(kDecoder), actual, c.options.constraint.projection_epsilon);
      }
      const double allowed = IsDouble(dtype) ? c.gradient_tolerance : Recommended(fixture, "grad_raw_rel_to_max");
      ExpectClose(actual, expected, allowed * Largest(expected) + 1e-15, 0, Family(c, "grad", dtype));
    }
    EXPECT_EQ(evaluation.figures.active_entries, paths.at("evaluated").figures.active_entries);
    for (const auto& [name, value] : paths.at("evaluated").next_state) {
      ASSERT_TRUE(evaluation.next_state.count(name)) << name;
      EXPECT_TRUE(at::allclose(evaluation.next_state.at(name).to(at::kDouble), value.to(at::kDouble), 1e-5, 1e-7))
          << name;
    }
  }
}

// The exported dictionary against the reference's forward pass on batch 0.
TEST_P(TrainingFixture, ExportedForward) {
  const FixtureCase c = Case();
  const at::ScalarType dtype = this->dtype();
  const Fixture fixture(c.name);
  const SaeTrainer trainer = MakeTrainer(c, fixture, dtype);
  const TrainingRows rows = fixture.Batch(0, dtype);
  const Parameters parameters = FirstParameters(c, fixture, trainer, rows);
  const auto dictionary = MakeDictionary(c.objective->Export(parameters, trainer.state()), dtype, at::kCPU);
  const at::Tensor acts = dictionary->Encode(rows.input);
  const at::Tensor expected_acts = fixture.file().Read("f64/acts").flatten(1);
  const at::Tensor expected_recon = fixture.file().Read("f64/recon").flatten(1);
  const auto allowed = [&](const at::Tensor& expected) {
    return IsDouble(dtype) ? 1e-10 * Largest(expected) : Recommended(fixture, "forward");
  };
  if (!c.inference_differs) ExpectClose(acts, expected_acts, allowed(expected_acts), 0, Family(c, "acts", dtype));
  // Decoding is the same wherever the activations are from.
  const at::Tensor recon = dictionary->Decode(expected_acts.to(dtype), rows.input);
  ExpectClose(recon, expected_recon, allowed(expected_recon), 0, Family(c, "recon", dtype));
}

TEST_P(TrainingFixture, FiveSteps) {
  const FixtureCase c = Case();
  const at::ScalarType dtype = this->dtype();
  const Fixture fixture(c.name);
  SaeTrainer trainer = MakeTrainer(c, fixture, dtype);
  const nlohmann::json& steps = fixture.json()["steps"][IsDouble(dtype) ? "f64" : "f32"];
  for (int64_t step = 0; step < 5; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    if (c.holds_initial_state) {
      auto state = trainer.State();
      for (const auto& [name, value] : c.initial_state) state["state." + name] = value;
      trainer.Restore(state);
    }
    const SaeStep done = trainer.Step(fixture.Batch(step, dtype));
    const double loss = steps[step].at("loss");
    EXPECT_NEAR(done.loss, loss, std::abs(loss) * (IsDouble(dtype) ? c.fifth_step_tolerance : 1e-5));
    if (step != 0 && step != 4) continue;
    const bool first = step == 0;
    for (const NamedParameter& name : c.parameters) {
      SCOPED_TRACE(name.ours);
      const at::Tensor& actual = trainer.parameters().at(name.ours);
      const at::Tensor expected =
          Ours(fixture.file().Read((first ? "w1/" : "f64/w5/") + name.theirs), name, actual.sizes());
      // w1 is stored in float32.
      const double in_double = (first ? 1e-7 : c.fifth_step_tolerance) * Largest(expected) + 1e-15;
      ExpectClose(actual, expected, IsDouble(dtype) ? in_double : Recommended(fixture, first ? "w1" : "w5"), 0,
                  Family(c, first ? "w1" : "w5", dtype));
    }
    for (const NamedParameter& name : c.has_averages ? c.parameters : std::vector<NamedParameter>{}) {
      SCOPED_TRACE(name.ours);
      const at::Tensor actual = trainer.AverageParameters().at(name.ours);
      const at::Tensor expected =
          Ours(fixture.file().Read((first ? "f64/s1/ema/" : "f64/s5/ema/") + name.theirs), name, actual.sizes());
      ExpectClose(actual, expected,
                  IsDouble(dtype) ? c.fifth_step_tolerance * Largest(expected) : Recommended(fixture, "w5"), 0,
                  Family(c, "average", dtype));
    }
    for (const auto& [ours, theirs] : c.state) {
      SCOPED_TRACE(ours);
      const at::Tensor expected = fixture.file().Read((first ? "f64/s1/" : "f64/s5/") + theirs);
      ExpectClose(trainer.state().at(ours), expected, 0, IsDouble(dtype) ? 1e-9 : 1e-5, Family(c, "state", dtype));
    }
  }
}

}  // namespace lifescope
