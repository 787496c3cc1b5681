#include "server/dictionary/baselines/sparse_coding_trainer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "server/dictionary/baselines/matched_l1.h"
#include "server/dictionary/sparse_codes.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/dictionary_baselines/golden_unit.h"

namespace lifescope {
namespace {

TEST(SparseCodingStep, OfTheDirectionsIsThatOfTheReference) {
  if (!GoldenUnit::IsThere("fista")) GTEST_SKIP() << "not in the small golden set";
  const GoldenUnit golden("fista");
  const auto read = [&](const char* name) { return golden.Read(name).t().to(at::kDouble); };
  const at::Tensor x = read("in/I"), directions = read("in/basis"), codes = read("f64/fista_codes");
  const at::Tensor stepped = StepDirections(directions, codes, x - codes.mm(directions), codes.square().mean(0),
                                            golden.hyper("stepSize"), golden.hyper("lowestActivation"));
  golden.ExpectClose(stepped.t(), "updated_basis", at::kDouble);
}

// Rows of a few of 32 directions in 16 dimensions, and noise.
struct Superposition {
  static constexpr int64_t kWidth = 16, kTruths = 32, kActive = 3;
  RandomTensors random{5};
  const at::Tensor truths = random.Directions(kTruths, kWidth, at::kFloat);

  at::Tensor Rows(int64_t count) {
    const at::Tensor values = random.Uniform({count, kTruths}, 0.5, 1.5, at::kFloat);
    const at::Tensor is_active = random.Uniform({count, kTruths}, 0, 1) < static_cast<double>(kActive) / kTruths;
    return at::addmm(random.Normal({count, kWidth}, at::kFloat) * 0.05, values * is_active, truths);
  }
};

SparseCodingTrainerOptions Options() {
  SparseCodingTrainerOptions options;
  options.activation_dim = Superposition::kWidth;
  options.feature_count = Superposition::kTruths;
  options.step_size = 0.05;
  return options;
}

TEST(SparseCodingTrainer, RecoversTheDirectionsThatRowsAreMadeOf) {
  Superposition data;
  SparseCodingTrainerOptions options = Options();
  options.l1 = 0.1;
  SparseCodingTrainer trainer(options);
  const auto recovered = [&] { return data.truths.mm(trainer.directions().t()).amax(1).mean().item<double>(); };
  const double at_random = recovered();
  for (int step = 0; step < 600; ++step) trainer.Step(data.Rows(256));
  EXPECT_LT(at_random, 0.7);
  EXPECT_GT(recovered(), 0.95);
  EXPECT_TRUE(at::allclose(at::norm(trainer.directions(), 2, 1), at::ones({Superposition::kTruths}), 0, 1e-5));
}

TEST(SparseCodingTrainer, KeepsTheL0ThatItIsTold) {
  Superposition data;
  SparseCodingTrainerOptions options = Options();
  options.k = 4;
  SparseCodingTrainer trainer(options);
  double l0 = 0;
  for (int step = 0; step < 200; ++step) {
    const SparseCodingStep result = trainer.Step(data.Rows(256));
    if (step == 0) {
      EXPECT_NEAR(result.l0, 4, 0.05);
    }
    if (step >= 150) l0 += result.l0 / 50;
  }
  EXPECT_NEAR(l0, 4, 0.2);
  EXPECT_GT(trainer.l1(), 0);
}

TEST(SparseCodingTrainer, RepeatsItself) {
  const auto train = [] {
    Superposition data;
    SparseCodingTrainerOptions options = Options();
    options.k = 4;
    SparseCodingTrainer trainer(options);
    for (int step = 0; step < 5; ++step) trainer.Step(data.Rows(64));
    return trainer.directions();
  };
  EXPECT_TRUE(at::equal(train(), train()));
}

TEST(SparseCodingTrainer, RefusesOptionsAndRowsOutOfRange) {
  SparseCodingTrainerOptions options = Options();
  options.k = Superposition::kTruths + 1;
  EXPECT_THROW(SparseCodingTrainer{options}, c10::ValueError);
  options = Options();
  options.l1 = -1;
  EXPECT_THROW(SparseCodingTrainer{options}, c10::ValueError);
  SparseCodingTrainer trainer(Options());
  EXPECT_THROW(trainer.Step(at::zeros({4, Superposition::kWidth + 1})), c10::ValueError);
}

TEST(MatchedL1, GivesTheL0ThatItIsTold) {
  RandomTensors random(1);
  const at::Tensor directions = random.Directions(64, 16), x = random.Normal({200, 16});
  for (const double k : {1.0, 4.0, 8.0}) {
    const double l1 = MatchedL1(x, directions, k, 100);
    const at::Tensor codes = ShrinkageCodes(x, directions, LargestEigenvalue(directions), {l1, 100});
    EXPECT_NEAR((codes > 0).sum(1).to(at::kDouble).mean().item<double>(), k, 0.01 * k) << "l1 " << l1;
  }
}

TEST(MatchedL1, IsZeroWhenNoMoreAreActiveWithoutIt) {
  EXPECT_EQ(MatchedL1(RandomTensors(2).Normal({50, 4}), at::eye(4, at::kDouble), 4, 100), 0);
  EXPECT_THROW(MatchedL1(at::ones({1, 4}), at::eye(4), 0, 100), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
