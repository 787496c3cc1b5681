#include "server/optimizer/adam.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/dictionary/random_tensors.h"

namespace lifescope {
namespace {

// Adam on one number, written out.
struct ScalarAdam {
  double parameter, first = 0, second = 0;
  int64_t step = 0;
  void Step(const AdamOptions& o, double gradient) {
    ++step;
    parameter -= o.learning_rate * o.weight_decay * parameter;
    first = o.beta1 * first + (1 - o.beta1) * gradient;
    second = o.beta2 * second + (1 - o.beta2) * gradient * gradient;
    const double m = first / (1 - std::pow(o.beta1, step)), v = second / (1 - std::pow(o.beta2, step));
    parameter -= o.learning_rate * m / (std::sqrt(v) + o.epsilon);
  }
};

void ExpectFollowsClosedForm(const AdamOptions& options) {
  const std::vector<double> gradients{0.3, -2.0, 0.0, 1e-6, 0.7};
  at::Tensor parameter = at::full({1}, 1.5, at::kDouble);
  AdamState state;
  ScalarAdam expected{1.5};
  for (const double gradient : gradients) {
    AdamStep(options, at::full({1}, gradient, at::kDouble), parameter, state);
    expected.Step(options, gradient);
    EXPECT_NEAR(parameter.item<double>(), expected.parameter, 1e-14);
  }
  EXPECT_EQ(state.step, 5);
}

TEST(Adam, FollowsTheClosedForm) {
  AdamOptions options;
  options.learning_rate = 0.01;
  ExpectFollowsClosedForm(options);
}

TEST(Adam, DecayIsDecoupledFromTheMoments) {
  AdamOptions options;
  options.learning_rate = 0.01;
  options.weight_decay = 0.1;
  ExpectFollowsClosedForm(options);
}

TEST(Adam, FirstStepMovesByTheLearningRateWhateverTheGradient) {
  AdamOptions options;
  options.learning_rate = 0.25;
  at::Tensor parameter = at::zeros({2}, at::kDouble);
  AdamState state;
  AdamStep(options, at::tensor({1e3, -1e-3}, at::kDouble), parameter, state);
  EXPECT_NEAR(parameter[0].item<double>(), -0.25, 1e-5);
  EXPECT_NEAR(parameter[1].item<double>(), 0.25, 1e-5);
}

// One pass over all tensors, or ATen's operations one after the other; whatever the layout.
TEST(Adam, EqualsAten) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    for (const bool transposed : {false, true}) {
      AdamOptions options;
      options.weight_decay = 0.01;
      RandomTensors random(17);
      at::Tensor expected = random.Normal({301, 67}, dtype);
      if (transposed) expected = expected.t();
      at::Tensor actual = expected.clone();
      AdamState expected_state, actual_state;
      for (int64_t step = 0; step < 4; ++step) {
        const at::Tensor gradient = random.Normal(expected.sizes(), dtype);
        AdamStep(options, gradient, actual, actual_state);
        AdamStepByAten(options, gradient, expected, expected_state);
      }
      const double tolerance = dtype == at::kFloat ? 1e-6 : 1e-14;
      EXPECT_TRUE(at::allclose(actual, expected, tolerance, tolerance));
      EXPECT_TRUE(at::allclose(actual_state.first_moment, expected_state.first_moment, tolerance, tolerance));
      EXPECT_TRUE(at::allclose(actual_state.second_moment, expected_state.second_moment, tolerance, tolerance));
      EXPECT_EQ(actual_state.step, 4);
    }
  }
}

TEST(Adam, GradientOfAnotherShapeIsRefused) {
  at::Tensor parameter = at::zeros({3});
  AdamState state;
  EXPECT_THROW(AdamStep({}, at::zeros({2}), parameter, state), c10::ValueError);
}

TEST(Adam, SavedStateLoadsTheSame) {
  at::Tensor parameter = at::ones({2, 2});
  AdamState state;
  AdamStep({}, at::full({2, 2}, 0.5), parameter, state);
  std::map<std::string, at::Tensor> saved;
  SaveAdamState("w", state, saved);
  const AdamState loaded = LoadAdamState("w", saved);
  EXPECT_TRUE(at::equal(loaded.first_moment, state.first_moment));
  EXPECT_TRUE(at::equal(loaded.second_moment, state.second_moment));
  EXPECT_EQ(loaded.step, 1);
}

TEST(Adam, SavedStateIsACopy) {
  at::Tensor parameter = at::ones({1});
  AdamState state;
  AdamStep({}, at::ones({1}), parameter, state);
  std::map<std::string, at::Tensor> saved;
  SaveAdamState("w", state, saved);
  const double before = saved.at("w.first_moment").item<double>();
  AdamStep({}, at::ones({1}), parameter, state);
  EXPECT_EQ(saved.at("w.first_moment").item<double>(), before);
}

TEST(Adam, PartOfAStateIsRefused) {
  const std::map<std::string, at::Tensor> saved{{"w.first_moment", at::zeros({1})},
                                                {"w.step", at::scalar_tensor(1, at::kLong)}};
  EXPECT_THROW(LoadAdamState("w", saved), c10::ValueError);
  EXPECT_FALSE(LoadAdamState("other", saved).first_moment.defined());
}

TEST(ClipGradientNorm, ScalesAllByTheirCommonNorm) {
  std::vector<at::Tensor> gradients{at::full({1}, 3.0, at::kDouble), at::Tensor(), at::full({1}, 4.0, at::kDouble)};
  EXPECT_DOUBLE_EQ(ClipGradientNorm(gradients, 1.0), 5.0);
  EXPECT_NEAR(gradients[0].item<double>(), 3.0 / (5 + 1e-6), 1e-15);
  EXPECT_NEAR(gradients[2].item<double>(), 4.0 / (5 + 1e-6), 1e-15);
}

TEST(ClipGradientNorm, IsTheNormOfManyElements) {
  RandomTensors random(18);
  const at::Tensor values = random.Normal({70, 1001}, at::kFloat);
  std::vector<at::Tensor> gradients{values.clone(), values.t()};
  EXPECT_NEAR(ClipGradientNorm(gradients, 2.0), std::sqrt(2.0) * values.to(at::kDouble).norm().item<double>(), 1e-3);
}

TEST(ClipGradientNorm, LeavesShortGradientsAlone) {
  std::vector<at::Tensor> gradients{at::full({1}, 0.3, at::kDouble)};
  EXPECT_DOUBLE_EQ(ClipGradientNorm(gradients, 1.0), 0.3);
  EXPECT_EQ(gradients[0].item<double>(), 0.3);
}

}  // namespace
}  // namespace lifescope
