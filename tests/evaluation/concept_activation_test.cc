#include "server/evaluation/concept_activation.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

namespace lifescope {
namespace {

// Rows around +-2 along `axis`, with unit noise.
at::Tensor Cloud(int64_t rows, int64_t axis, double shift, uint64_t seed) {
  at::manual_seed(seed);
  at::Tensor x = at::randn({rows, 6}, at::kDouble);
  x.select(1, axis).add_(shift);
  return x;
}

TEST(ConceptActivation, FindsTheAxisAndTheLivesThatDependOnIt) {
  const at::Tensor positive = Cloud(200, 2, 3, 1), negative = Cloud(200, 2, -3, 2);
  at::Tensor gradients = at::randn({40, 6}, at::kDouble) * 0.01;
  gradients.select(1, 2).slice(0, 0, 30).fill_(1);
  gradients.select(1, 2).slice(0, 30, 40).fill_(-3);
  const ConceptActivation result = MeasureConceptActivation(positive, negative, gradients);
  EXPECT_GT(result.direction[2].item<double>(), 0.9);
  EXPECT_NEAR(result.direction.norm().item<double>(), 1, 1e-12);
  EXPECT_GT(result.accuracy, 0.98);
  EXPECT_DOUBLE_EQ(result.sign_count, 0.75);
  EXPECT_NEAR(result.magnitude, 30.0 / 60.0, 0.03);
}

TEST(ConceptActivation, DirectionsOfShuffledLabelsSayWhatChanceGives) {
  const at::Tensor positive = Cloud(100, 2, 3, 1), negative = Cloud(100, 2, -3, 2);
  at::Tensor gradients = at::zeros({20, 6}, at::kDouble);
  gradients.select(1, 2).fill_(1);
  at::Tensor mixed = at::randn({200, 6}, at::kDouble);
  const ConceptActivation known = MeasureConceptActivation(positive, negative, at::cat({gradients, mixed}));
  EXPECT_EQ(known.random_sign_counts.size(), 50u);
  EXPECT_GT(known.p_value, 0);
  EXPECT_LE(known.p_value, 1);
  // The same rows on both sides: the concept is nothing, and its score is as far from one half as chance goes.
  const ConceptActivation nothing = MeasureConceptActivation(mixed.slice(0, 0, 100), mixed.slice(0, 100), mixed);
  EXPECT_GT(nothing.p_value, 0.02);
  EXPECT_LT(nothing.accuracy, 0.7);
}

TEST(ConceptActivation, OneSeedOneAnswer) {
  const at::Tensor positive = Cloud(30, 1, 1, 3), negative = Cloud(30, 1, -1, 4), gradients = Cloud(10, 1, 0, 5);
  const ConceptActivation a = MeasureConceptActivation(positive, negative, gradients);
  const ConceptActivation b = MeasureConceptActivation(positive, negative, gradients);
  EXPECT_TRUE(a.direction.equal(b.direction));
  EXPECT_EQ(a.random_sign_counts, b.random_sign_counts);
}

TEST(ConceptActivation, RefusesTooFewRows) {
  EXPECT_THROW(MeasureConceptActivation(Cloud(3, 1, 1, 3), Cloud(30, 1, -1, 4), Cloud(10, 1, 0, 5)), c10::ValueError);
  EXPECT_THROW(MeasureConceptActivation(Cloud(9, 1, 1, 3), Cloud(9, 1, -1, 4), at::zeros({4, 5})), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
