#include "server/dictionary/baselines/nmf.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "server/dictionary/sparse_codes.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/dictionary_baselines/golden_baselines.h"

namespace lifescope {
namespace {

double ReferenceError(const GoldenBaselines& golden) { return golden.Value("nmf", "reconstruction_err"); }

using NmfParity = GoldenBaselinesTest;

// The reference starts from a randomised singular value decomposition, so its factors are met only nearly.
TEST_F(NmfParity, HasTheReconstructionErrorOfTheReference) {
  const GoldenBaselines golden;
  const NmfFit fit = FitNmf(golden.x(), {16, 300, 0, NmfUpdate::kMultiplicative});
  EXPECT_EQ(fit.iterations, 300);
  ExpectClose(at::scalar_tensor(fit.shift, at::kDouble), at::scalar_tensor(golden.Value("nmf", "shift"), at::kDouble),
              1e-9, 0, "sae.metrics.baselines.nmf_shift.f64");
  ExpectClose(at::scalar_tensor(fit.reconstruction_error, at::kDouble),
              at::scalar_tensor(ReferenceError(golden), at::kDouble), 0, 1e-4,
              "sae.metrics.baselines.nmf_reconstruction_error.f64");
}

TEST_F(NmfParity, CoordinateDescentFitsBetterInFewerIterations) {
  const GoldenBaselines golden;
  const NmfFit fit = FitNmf(golden.x(), {16, 100, 0});
  EXPECT_LT(fit.reconstruction_error, ReferenceError(golden));
  EXPECT_GE(fit.components.min().item<double>(), 0);
  const at::Tensor x = golden.x() - fit.shift;
  const at::Tensor codes = ShrinkageCodes(x, fit.components, LargestEigenvalue(fit.components), {0, 1000});
  // The best codes for these components; the fit's own are nearly that.
  EXPECT_NEAR((x - codes.mm(fit.components)).norm().item<double>(), fit.reconstruction_error, 0.05);
}

TEST_F(NmfParity, NonNegativeLeastSquaresOverTheReferencesComponentsIsNoWorseThanItsCodes) {
  const GoldenBaselines golden;
  const at::Tensor components = golden.Read("f64/nmf_components"), x = golden.x() - golden.Value("nmf", "shift");
  const at::Tensor codes = ShrinkageCodes(x, components, LargestEigenvalue(components), {0, 1000});
  const double error = (x - codes.mm(components)).norm().item<double>();
  EXPECT_LT(error, ReferenceError(golden));
  EXPECT_GT(error, 0.98 * ReferenceError(golden));
}

class NmfOfAProduct : public testing::TestWithParam<NmfUpdate> {};

TEST_P(NmfOfAProduct, FindsFactorsThatGiveIt) {
  RandomTensors random(1);
  const auto sparse = [&](at::IntArrayRef shape) { return random.Normal(shape).clamp_min(0); };
  const at::Tensor x = sparse({300, 4}).mm(sparse({4, 12}));
  const NmfFit fit = FitNmf(x, {4, 1000, 0, GetParam()});
  EXPECT_EQ(fit.shift, 0);
  EXPECT_LT(fit.reconstruction_error, 0.02 * x.norm().item<double>());
}

INSTANTIATE_TEST_SUITE_P(Updates, NmfOfAProduct, testing::Values(NmfUpdate::kCoordinate, NmfUpdate::kMultiplicative));

TEST(Nmf, StopsWhenTheErrorHardlyFalls) {
  const at::Tensor x = RandomTensors(2).Uniform({100, 6}, 0, 1);
  const NmfFit fit = FitNmf(x, {3, 10000, 1e-4});
  EXPECT_LT(fit.iterations, 1000);
  EXPECT_EQ(fit.iterations % 10, 0);
}

TEST(Nmf, RefusesMoreComponentsThanTheWidth) {
  EXPECT_THROW(FitNmf(at::ones({10, 3}), {4}), c10::ValueError);
  EXPECT_THROW(FitNmf(at::ones({10, 3}), {0}), c10::ValueError);
  EXPECT_THROW(FitNmf(at::ones({10, 3}), {2, 0}), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
