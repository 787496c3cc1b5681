#include "server/corpus/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/corpus/value_error.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

// Values of the authors' C code for xoshiro256** with this state.
TEST(Random, FollowsThePublishedGenerator) {
  Random random(0);
  random.set_state({1, 2, 3, 4});
  EXPECT_EQ(random.NextBits(), 11520u);
  EXPECT_EQ(random.NextBits(), 0u);
  EXPECT_EQ(random.NextBits(), 1509978240u);
  EXPECT_EQ(random.NextBits(), 1215971899390074240u);
}

TEST(Random, SeedIsSpreadBySplitMix64) {
  EXPECT_EQ(Random(0).state()[0], 0xE220A8397B1DCDAFull);
  EXPECT_EQ(Random(0).state()[1], 0x6E789E6AA1B965F4ull);
}

TEST(Random, RestoredStateContinuesToTheBit) {
  Random random(5);
  random.Normal();
  Random other(6);
  other.set_state(random.state());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random.Normal(), other.Normal());
}

TEST(Random, UniformStaysInItsIntervalAndFillsIt) {
  Random random(1);
  double sum = 0, low = 1, high = 0;
  for (int i = 0; i < 100000; ++i) {
    const double u = random.Uniform();
    ASSERT_TRUE(u >= 0 && u < 1);
    sum += u;
    low = std::min(low, u);
    high = std::max(high, u);
  }
  EXPECT_NEAR(sum / 100000, 0.5, 0.01);
  EXPECT_LT(low, 0.001);
  EXPECT_GT(high, 0.999);
}

TEST(Random, BelowIsEvenlySpread) {
  Random random(2);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts[static_cast<size_t>(random.Below(7))];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);
  EXPECT_THAT(ValueErrorOf([&] { random.Below(0); }), HasSubstr("count is 0"));
}

TEST(Random, NormalHasTheMomentsAndTailsOfTheStandardNormal) {
  Random random(3);
  double sum = 0, squares = 0;
  int beyond_two = 0;
  constexpr int kCount = 200000;
  for (int i = 0; i < kCount; ++i) {
    const double x = random.Normal();
    sum += x;
    squares += x * x;
    beyond_two += std::abs(x) > 2 ? 1 : 0;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.01);
  EXPECT_NEAR(squares / kCount, 1, 0.015);
  EXPECT_NEAR(beyond_two / static_cast<double>(kCount), 0.0455, 0.002);
}

TEST(Random, WeightedFollowsTheWeightsAndNeverDrawsZero) {
  Random random(4);
  std::vector<int> counts(4);
  for (int i = 0; i < 40000; ++i) ++counts[static_cast<size_t>(random.Weighted({1, 0, 3, 0}))];
  EXPECT_EQ(counts[1], 0);
  EXPECT_EQ(counts[3], 0);
  EXPECT_NEAR(counts[0], 10000, 500);
  EXPECT_THAT(ValueErrorOf([&] { random.Weighted({0, 0}); }), HasSubstr("sum to 0"));
  EXPECT_THAT(ValueErrorOf([&] { random.Weighted({1, -1}); }), HasSubstr("expected at least 0"));
}

TEST(Random, ShuffleKeepsTheValues) {
  Random random(5);
  std::vector<int> values(50), sorted(50);
  std::iota(values.begin(), values.end(), 0);
  sorted = values;
  random.Shuffle(values);
  EXPECT_NE(values, sorted);
  std::sort(values.begin(), values.end());
  EXPECT_EQ(values, sorted);
}

}  // namespace
}  // namespace lifescope
