#include "server/dictionary/sparse_codes.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "server/artifact/safetensors.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/dictionary_baselines/golden_unit.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

// The conditions of Karush, Kuhn and Tucker for the minimum over codes >= 0: how far the worst code is from them.
double DistanceFromOptimal(const at::Tensor& x, const at::Tensor& directions, const at::Tensor& codes, double l1) {
  const at::Tensor slope = (codes.mm(directions) - x).mm(directions.t()) + l1;
  return at::where(codes > 0, slope.abs(), (-slope).clamp_min(0)).max().item<double>();
}

struct ShrinkageCase {
  const char* name;  // of the golden codes
  Momentum momentum;
  int64_t iterations;
  bool is_non_negative;
};

// The reference's ISTA starts with a residual of 0, so that its first iteration does nothing.
const ShrinkageCase kShrinkageCases[] = {{"fista", Momentum::kFista, 60, true},
                                         {"ista", Momentum::kNone, 59, true},
                                         {"ista_pn", Momentum::kNone, 59, false}};

class GoldenCodes : public testing::TestWithParam<at::ScalarType> {};

TEST_P(GoldenCodes, OfShrinkageAreThoseOfTheReference) {
  if (!GoldenUnit::IsThere("fista")) GTEST_SKIP() << "not in the small golden set";
  const GoldenUnit golden("fista");
  const at::Tensor x = golden.Read("in/I").t().to(GetParam()), directions = golden.Read("in/basis").t().to(GetParam());
  for (const ShrinkageCase& c : kShrinkageCases) {
    const ShrinkageOptions options{golden.hyper("lambda_"), c.iterations, c.momentum, c.is_non_negative};
    const at::Tensor codes = ShrinkageCodes(x, directions, LargestEigenvalue(directions), options);
    golden.ExpectClose(codes.t(), std::string(c.name) + "_codes", GetParam(), c.name);
  }
}

TEST_P(GoldenCodes, OfGradientPursuitAreThoseOfTheReference) {
  if (!GoldenUnit::IsThere("grad_pursuit")) GTEST_SKIP() << "not in the small golden set";
  const GoldenUnit golden("grad_pursuit");
  const at::Tensor x = golden.Read("in/signal").to(GetParam());
  const at::Tensor directions = golden.Read("in/dictionary").t().to(GetParam());
  const at::Tensor codes = GradientPursuitCodes(x, directions, static_cast<int64_t>(golden.hyper("target_l0")));
  golden.ExpectClose(codes, "weights", GetParam());
  EXPECT_TRUE(at::equal(codes > 0, golden.Read("f64/weights") > 0)) << "other directions are active";
}

INSTANTIATE_TEST_SUITE_P(Dtypes, GoldenCodes, testing::Values(at::kDouble, at::kFloat),
                         [](const auto& info) { return std::string(at::toString(info.param)); });

class ShrinkageOptimum : public testing::TestWithParam<double> {};

TEST_P(ShrinkageOptimum, IsReachedByRestartedMomentum) {
  RandomTensors random(1);
  const at::Tensor directions = random.Directions(48, 16), x = random.Normal({64, 16});
  const double largest = LargestEigenvalue(directions);
  const auto distance = [&](int64_t iterations) {
    const at::Tensor codes = ShrinkageCodes(x, directions, largest, {GetParam(), iterations});
    EXPECT_GE(codes.min().item<double>(), 0);
    return DistanceFromOptimal(x, directions, codes, GetParam());
  };
  EXPECT_LT(distance(2000), 1e-9);
  EXPECT_LT(distance(100), distance(10));
}

// 0: non-negative least squares, overcomplete.
INSTANTIATE_TEST_SUITE_P(L1, ShrinkageOptimum, testing::Values(0.0, 0.05, 0.5));

TEST(ShrinkageCodes, AreZeroAboveTheLargestInnerProduct) {
  RandomTensors random(2);
  const at::Tensor directions = random.Directions(12, 6), x = random.Normal({9, 6});
  const double largest_product = x.mm(directions.t()).max().item<double>();
  const double largest = LargestEigenvalue(directions);
  EXPECT_EQ(ShrinkageCodes(x, directions, largest, {largest_product * 1.001}).max().item<double>(), 0);
  EXPECT_GT(ShrinkageCodes(x, directions, largest, {largest_product * 0.999}).max().item<double>(), 0);
}

TEST(ShrinkageCodes, OfARowDoNotDependOnTheOthers) {
  RandomTensors random(3);
  const at::Tensor directions = random.Directions(20, 8), x = random.Normal({7, 8});
  const double largest = LargestEigenvalue(directions);
  const at::Tensor together = ShrinkageCodes(x, directions, largest, {0.1});
  for (int64_t row = 0; row < 7; ++row) {
    const at::Tensor alone = ShrinkageCodes(x.narrow(0, row, 1), directions, largest, {0.1});
    EXPECT_TRUE(at::allclose(alone, together.narrow(0, row, 1), 0, 1e-12)) << row;
  }
}

TEST(GradientPursuit, HasAtMostKActiveAndAnErrorThatFallsWithK) {
  RandomTensors random(4);
  const at::Tensor directions = random.Directions(40, 10), x = random.Normal({30, 10});
  double last = x.norm().item<double>();
  for (const int64_t k : {1, 2, 4, 8}) {
    const at::Tensor codes = GradientPursuitCodes(x, directions, k);
    EXPECT_LE((codes > 0).sum(1).max().item<int64_t>(), k);
    EXPECT_GE(codes.min().item<double>(), 0);
    const double error = (x - codes.mm(directions)).norm().item<double>();
    EXPECT_LT(error, last) << k;
    last = error;
  }
}

// Attribution takes gradients through codes.
TEST(GradientPursuit, HasAGradient) {
  RandomTensors random(5);
  const at::Tensor directions = random.Directions(40, 10), x = random.Normal({6, 10}), step = random.Normal({6, 10});
  const at::Tensor leaf = x.clone().requires_grad_(true);
  GradientPursuitCodes(leaf, directions, 3).sum().backward();
  const auto sum_at = [&](double t) { return GradientPursuitCodes(x + t * step, directions, 3).sum().item<double>(); };
  EXPECT_NEAR((leaf.grad() * step).sum().item<double>(), (sum_at(1e-7) - sum_at(-1e-7)) / 2e-7, 1e-5);
}

TEST(GradientPursuit, OfARowOfZerosIsZero) {
  const at::Tensor codes = GradientPursuitCodes(at::zeros({2, 3}), at::eye(3), 2);
  EXPECT_TRUE(at::equal(codes, at::zeros({2, 3})));
}

TEST(SparseCodes, RefuseWhatCannotBe) {
  const at::Tensor x = at::zeros({2, 3}), directions = at::eye(3);
  EXPECT_THROW(ShrinkageCodes(at::zeros({2, 4}), directions, 1, {}), c10::ValueError);
  EXPECT_THROW(ShrinkageCodes(x, directions, 0, {}), c10::ValueError);
  EXPECT_THROW(ShrinkageCodes(x, directions, 1, {-0.1}), c10::ValueError);
  EXPECT_THROW(ShrinkageCodes(x, directions, 1, {0.1, 0}), c10::ValueError);
  EXPECT_THROW(GradientPursuitCodes(x, directions, 0), c10::ValueError);
  EXPECT_THROW(GradientPursuitCodes(x, directions, 4), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
