#include "server/dictionary/baselines/running_covariance.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <tuple>

#include "tests/dictionary/random_tensors.h"
#include "tests/dictionary_baselines/golden_baselines.h"

namespace lifescope {
namespace {

using RunningCovarianceParity = GoldenBaselinesTest;

TEST_F(RunningCovarianceParity, IsThatOfTheReferenceHoweverTheRowsCome) {
  const GoldenBaselines golden;
  for (const int64_t batch : {1, 100, 512}) {
    RunningCovariance covariance;
    for (const at::Tensor& rows : golden.x().split(batch)) covariance.Add(rows);
    EXPECT_EQ(covariance.row_count(), 512);
    golden.ExpectClose(covariance.mean(), "pca_mean");
    golden.ExpectClose(covariance.covariance(), "pca_cov");
  }
}

TEST(RunningCovariance, IsNotLostBesideALargeMean) {
  RandomTensors random(1);
  const at::Tensor x = random.Normal({1000, 5});
  RunningCovariance plain, shifted;
  for (const at::Tensor& rows : x.split(64)) {
    plain.Add(rows);
    shifted.Add(rows + 1e6);
  }
  EXPECT_TRUE(at::allclose(shifted.covariance(), plain.covariance(), 0, 1e-8));
}

TEST(RunningCovariance, RefusesRowsOfAnotherWidthAndNoRows) {
  RunningCovariance covariance;
  EXPECT_THROW(covariance.covariance(), c10::ValueError);
  covariance.Add(at::zeros({2, 3}));
  EXPECT_THROW(covariance.Add(at::zeros({2, 4})), c10::ValueError);
  EXPECT_THROW(covariance.Add(at::zeros({0, 3})), c10::ValueError);
}

using PrincipalDirectionsParity = GoldenBaselinesTest;

TEST_F(PrincipalDirectionsParity, AreThoseOfTheReferenceUpToSign) {
  const GoldenBaselines golden;
  RunningCovariance covariance;
  covariance.Add(golden.x());
  const PrincipalDirections principal = PrincipalDirectionsOf(covariance.covariance());
  golden.ExpectClose(principal.eigenvalues, "pca_eigvals_desc");
  golden.ExpectClose(WithSignsOf(principal.directions, golden.Read("f64/pca_dict")), "pca_dict");
}

TEST(PrincipalDirections, OfAKnownCovarianceAreItsAxes) {
  constexpr int64_t kWidth = 6;
  RandomTensors random(2);
  const at::Tensor axes = std::get<0>(at::linalg_qr(random.Normal({kWidth, kWidth})));
  const at::Tensor variances = at::tensor({9.0, 4.0, 1.0, 0.5, 0.1, 0.01}, at::kDouble);
  const at::Tensor arms = variances.mul(kWidth).sqrt().unsqueeze(1) * axes;
  RunningCovariance covariance;
  covariance.Add(at::cat({arms, -arms}));
  const PrincipalDirections principal = PrincipalDirectionsOf(covariance.covariance());
  EXPECT_TRUE(at::allclose(principal.eigenvalues, variances, 1e-12, 1e-14));
  EXPECT_TRUE(at::allclose(WithSignsOf(principal.directions, axes), axes, 0, 1e-10));
  EXPECT_TRUE((principal.directions.amax(1) >= principal.directions.abs().amax(1)).all().item<bool>());
}

}  // namespace
}  // namespace lifescope
