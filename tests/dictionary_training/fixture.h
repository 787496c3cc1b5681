// A golden training fixture (golden/sae/train/<name>) and the comparisons that every variant passes: the loss and its
// gradients by both paths, and parameters after 1 and 5 steps of the trainer.
#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "server/artifact/safetensors.h"
#include "server/dictionary/training/sae_trainer.h"

namespace lifescope {

// A parameter of ours, under the reference's name. Sites, of which the reference makes a dimension of its own, are side
// by side in ours.
struct NamedParameter {
  std::string ours, theirs;
  bool transposed = false;  // theirs is ours.t()
};

// What differs between fixtures.
struct FixtureCase {
  std::string name;
  std::vector<NamedParameter> parameters = {};
  std::shared_ptr<const Objective> objective;
  SaeTrainerOptions options;  // dtype is set by the test
  // Our term -> the reference's loss term (fixture.json loss_terms_first_step); "total" is always compared.
  std::map<std::string, std::string> terms = {};
  // State of the objective that is set before the first step, and compared after: ours -> tensor of the fixture without
  // its prefix ("num_tokens_since_fired" of f64/s1/... and f64/s5/...).
  ObjectiveState initial_state = {};
  // Whether it is set anew before every step: a mask that the reference's loop held fixed.
  bool holds_initial_state = false;
  std::map<std::string, std::string> state = {};
  // Whether the fixture has the running mean of weights (f64/s1/ema/...).
  bool has_averages = false;
  // Whether raw gradients are those after the constraint's projection (aisf).
  bool raw_gradient_is_projected = false;
  // Whether the exported dictionary selects otherwise than the training does (the threshold of BatchTopK).
  bool inference_differs = false;
  // Exponents of the allowed relative deviation in float64: the README's 1e-10 and, after five steps, 1e-9.
  double gradient_tolerance = 1e-10;
  double fifth_step_tolerance = 1e-9;
};

class Fixture {
 public:
  explicit Fixture(const std::string& name);

  const nlohmann::json& json() const { return json_; }
  const nlohmann::json& hyper() const { return json_["hyper"]; }
  const SafetensorsFile& file() const { return file_; }
  int64_t input_dim() const { return json_["d_in"]; }
  int64_t feature_count() const { return json_["n_features"]; }
  // Batch `step`, from 0. target is input unless there is in/y.
  TrainingRows Batch(int64_t step, at::ScalarType dtype) const;
  int64_t first_step() const;  // of the fixture's schedule

 private:
  std::string folder_;
  nlohmann::json json_;
  SafetensorsFile file_;
};

// A fixture by name, the case that it makes, and a dtype. Each variant's test file instantiates this suite with its
// own:
//   INSTANTIATE_TEST_SUITE_P(Relu, TrainingFixture, Fixtures({{"dl_standard_l1", DlStandard}, ...}), FixtureName);
// The tests, in fixture.cc:
//   FirstEvaluation: Loss() and Evaluate() on batch 0 with the initial weights, against each other and against the
//     fixture: total, terms, gradients.
//   ExportedForward: features and reconstructions of the exported dictionary.
//   FiveSteps: weights and state after 1 and 5 steps, and the loss of each step.
struct FixtureParam {
  std::string name;
  FixtureCase (*make)();
};
class TrainingFixture : public testing::TestWithParam<std::tuple<FixtureParam, at::ScalarType>> {
 protected:
  // Skips where the small golden set lacks the fixture.
  void SetUp() override;
  FixtureCase Case() const { return std::get<0>(GetParam()).make(); }
  at::ScalarType dtype() const { return std::get<1>(GetParam()); }
};

inline auto Fixtures(std::vector<FixtureParam> params) {
  return testing::Combine(testing::ValuesIn(params), testing::Values(at::kDouble, at::kFloat));
}

std::string FixtureName(const testing::TestParamInfo<TrainingFixture::ParamType>& info);

}  // namespace lifescope
