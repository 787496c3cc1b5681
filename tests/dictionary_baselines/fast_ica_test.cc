#include "server/dictionary/baselines/fast_ica.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "tests/dictionary/random_tensors.h"
#include "tests/dictionary_baselines/golden_baselines.h"

namespace lifescope {
namespace {

// The standard normal draws of NumPy's RandomState(seed): with them the reference's start can be had.
class NumpyNormal {
 public:
  explicit NumpyNormal(uint32_t seed) : bits_(seed) {}

  double Next() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    double first, second, squared_radius;
    do {
      first = 2 * Uniform() - 1;
      second = 2 * Uniform() - 1;
      squared_radius = first * first + second * second;
    } while (squared_radius >= 1 || squared_radius == 0);
    const double scale = std::sqrt(-2 * std::log(squared_radius) / squared_radius);
    spare_ = scale * first;
    has_spare_ = true;
    return scale * second;
  }

 private:
  double Uniform() {
    const uint32_t high = bits_() >> 5, low = bits_() >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
  }

  std::mt19937 bits_;
  double spare_ = 0;
  bool has_spare_ = false;
};

at::Tensor CodesOf(const IcaFit& fit, const at::Tensor& x) { return ((x - fit.mean) / fit.scale).mm(fit.unmixing.t()); }
at::Tensor DecodedBy(const IcaFit& fit, const at::Tensor& codes) {
  return fit.mean + fit.scale * codes.mm(fit.mixing.t());
}

using FastIcaParity = GoldenBaselinesTest;

TEST_F(FastIcaParity, IsThatOfTheReferenceFromItsStart) {
  const GoldenBaselines golden;
  IcaOptions options;
  options.tolerance = 1e-6;
  NumpyNormal normal(0);
  std::vector<double> start(32 * 32);
  for (double& value : start) value = normal.Next();
  options.initial_rotation = at::tensor(start, at::kDouble).view({32, 32});
  const IcaFit fit = FitIca(golden.x(), options);
  EXPECT_LT(fit.change, options.tolerance);
  const at::Tensor unit = fit.unmixing / at::norm(fit.unmixing, 2, 1, true);
  golden.ExpectClose(WithSignsOf(unit, golden.Read("f64/ica_components_unit")), "ica_components_unit");
  const at::Tensor codes = CodesOf(fit, golden.x()).t(), expected = golden.Read("f64/ica_codes").t();
  golden.ExpectClose(WithSignsOf(codes, expected).t(), "ica_codes");
}

TEST(FastIca, UnmixesIndependentSources) {
  constexpr int64_t kSources = 6, kRows = 20000;
  RandomTensors random(1);
  // Half of them flatter than normal, half of them sparse.
  const at::Tensor flat = random.Uniform({kRows, kSources / 2}, -1, 1);
  const at::Tensor sparse = random.Normal({kRows, kSources / 2}).pow(3);
  const at::Tensor sources = at::cat({flat, sparse}, 1);
  const at::Tensor x = sources.mm(random.Normal({kSources, kSources})) + 3;
  const IcaFit fit = FitIca(x, {});
  EXPECT_LT(fit.change, IcaOptions().tolerance);
  const at::Tensor codes = CodesOf(fit, x);
  const at::Tensor standard = (sources - sources.mean(0)) / sources.std(0, false);
  const at::Tensor correlation = (standard.t().mm(codes) / static_cast<double>(kRows)).abs();
  EXPECT_GT(correlation.amax(1).min().item<double>(), 0.99);
  EXPECT_GT(correlation.amax(0).min().item<double>(), 0.99);
  EXPECT_TRUE(at::allclose(codes.t().mm(codes) / kRows, at::eye(kSources, at::kDouble), 0, 1e-9));
}

TEST(FastIca, LeavesOutDirectionsWithoutVariance) {
  RandomTensors random(2);
  const at::Tensor three = random.Uniform({500, 3}, -1, 1);
  // A copy, a constant.
  const at::Tensor x = at::cat({three, three.narrow(1, 0, 1) * 2, at::full({500, 1}, 7, at::kDouble)}, 1);
  const IcaFit fit = FitIca(x, {});
  EXPECT_EQ(fit.unmixing.sizes(), at::IntArrayRef({3, 5}));
  EXPECT_TRUE(at::allclose(DecodedBy(fit, CodesOf(fit, x)), x, 0, 1e-10));
}

TEST(FastIca, SaysWhenItDidNotConverge) {
  IcaOptions options;
  options.iterations = 2;
  const IcaFit fit = FitIca(RandomTensors(3).Normal({200, 8}), options);
  EXPECT_EQ(fit.iterations, 2);
  EXPECT_GE(fit.change, options.tolerance);
}

TEST(FastIca, RefusesEqualRows) { EXPECT_THROW(FitIca(at::ones({10, 3}), {}), c10::ValueError); }

}  // namespace
}  // namespace lifescope
