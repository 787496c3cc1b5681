#include "server/evaluation/effect_controls.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace lifescope {
namespace {

TEST(EffectControls, FeaturesOfLikeDensityAndNorm) {
  // Two kinds: rare and short, common and long; some never fire.
  std::vector<double> densities, norms;
  for (int i = 0; i < 80; ++i) {
    densities.push_back(i % 4 == 3 ? 0 : i % 2 == 0 ? 0.001 * (1 + 0.01 * i) : 0.2);
    norms.push_back(i % 2 == 0 ? 1 : 3);
  }
  const std::vector<int64_t> controls = MatchedFeatures(densities, norms, 4, 5, 7, {6});
  ASSERT_EQ(controls.size(), 5u);
  for (const int64_t control : controls) {
    EXPECT_EQ(control % 2, 0);
    EXPECT_NE(control, 4);
    EXPECT_NE(control, 6);
  }
  EXPECT_EQ(controls, MatchedFeatures(densities, norms, 4, 5, 7, {6}));
  std::set<std::vector<int64_t>> draws;
  for (uint64_t seed = 0; seed < 10; ++seed) draws.insert(MatchedFeatures(densities, norms, 4, 5, seed));
  EXPECT_GT(draws.size(), 1u);
  // No more than fire.
  EXPECT_EQ(MatchedFeatures({0.1, 0, 0.1}, {1, 1, 1}, 0, 5, 1), std::vector<int64_t>{2});
  EXPECT_THROW(MatchedFeatures({0.1}, {1, 1}, 0, 5, 1), c10::ValueError);
  EXPECT_THROW(MatchedFeatures({0.1}, {1}, 1, 5, 1), c10::ValueError);
}

TEST(EffectControls, RandomDirectionsHaveTheNormAndNoPreference) {
  const at::Tensor directions = RandomDirections(4000, 8, 2.5, 3);
  EXPECT_LT((directions.norm(2, {1}) - 2.5).abs().max().item<double>(), 1e-12);
  EXPECT_LT(directions.mean(0).abs().max().item<double>(), 0.07);
  EXPECT_TRUE(directions.equal(RandomDirections(4000, 8, 2.5, 3)));
}

TEST(EffectControls, PercentileAndPValueOfARank) {
  const std::vector<double> controls = {-1, 2, -3, 4};
  EXPECT_DOUBLE_EQ(ControlPercentile(-2.5, controls), 0.5);
  EXPECT_DOUBLE_EQ(ControlPercentile(3, controls), 0.625);
  EXPECT_DOUBLE_EQ(ControlPercentile(9, controls), 1);
  EXPECT_DOUBLE_EQ(ControlPValue(9, controls), 0.2);
  EXPECT_DOUBLE_EQ(ControlPValue(3, controls), 0.6);
  EXPECT_DOUBLE_EQ(ControlPValue(0, controls), 1);
  EXPECT_THROW(ControlPercentile(1, {}), c10::ValueError);
}

TEST(EffectControls, BenjaminiHochbergAsPublished) {
  // The example of Benjamini & Hochberg (1995), section 3.2: four of fifteen are rejected at 0.05.
  const std::vector<double> p = {0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
                                 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000};
  const std::vector<double> q = BenjaminiHochberg(p);
  EXPECT_EQ(std::count_if(q.begin(), q.end(), [](double x) { return x <= 0.05; }), 4);
  EXPECT_NEAR(q[3], 0.0095 * 15 / 4, 1e-12);
  // A later p-value's rate is the bound where it is smaller.
  EXPECT_NEAR(q[5], 0.0298 * 15 / 7, 1e-12);
  EXPECT_DOUBLE_EQ(q[14], 1);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> some = BenjaminiHochberg({0.04, nan, 0.01});
  EXPECT_DOUBLE_EQ(some[0], 0.04);
  EXPECT_TRUE(std::isnan(some[1]));
  EXPECT_DOUBLE_EQ(some[2], 0.02);
}

}  // namespace
}  // namespace lifescope
