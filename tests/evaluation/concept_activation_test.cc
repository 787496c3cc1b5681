#include "server/evaluation/concept_activation.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <cmath>

#include "server/intervention/engine.h"

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

// Of the scores as they are reported.
double ExpectedP(const ConceptActivation& result) {
  double as_far = 1;
  for (const double score : result.random_sign_counts) {
    as_far += std::abs(score - 0.5) >= std::abs(result.sign_count - 0.5) ? 1 : 0;
  }
  return as_far / static_cast<double>(result.random_sign_counts.size() + 1);
}

// Every life's metric grows along a direction whose share of axis 2 is more than twice that of any other axis: along
// the concept's, and not along those of shuffled labels.
TEST(ConceptActivation, NoDirectionOfShuffledLabelsIsAsFarAsAConcept) {
  const at::Tensor positive = Cloud(200, 2, 3, 1), negative = Cloud(200, 2, -3, 2);
  at::Tensor gradients = at::zeros({10, 6}, at::kDouble);
  gradients.select(1, 2).fill_(1);
  int64_t life = 0;
  for (const int64_t axis : {0, 1, 3, 4, 5}) {
    for (const double share : {2.0, -2.0}) gradients[life++][axis] = share;
  }
  const ConceptActivation result = MeasureConceptActivation(positive, negative, gradients);
  EXPECT_EQ(result.sign_count, 1);
  EXPECT_EQ(result.random_sign_counts.size(), 50u);
  EXPECT_DOUBLE_EQ(result.p_value, 1.0 / 51);
  EXPECT_DOUBLE_EQ(result.p_value, ExpectedP(result));
}

// The same rows on both sides: the concept is nothing, and its score is as far from one half as chance goes.
TEST(ConceptActivation, NothingIsNoFartherThanChance) {
  const at::Tensor mixed = Cloud(200, 2, 0, 3);
  const ConceptActivation nothing = MeasureConceptActivation(mixed.slice(0, 0, 100), mixed.slice(0, 100), mixed);
  EXPECT_GT(nothing.p_value, 1.5 / 51);
  EXPECT_DOUBLE_EQ(nothing.p_value, ExpectedP(nothing));
  EXPECT_LT(nothing.accuracy, 0.7);
}

TEST(ConceptActivation, LivesThatDoNotChangeDoNotCount) {
  const at::Tensor positive = Cloud(200, 2, 3, 1), negative = Cloud(200, 2, -3, 2);
  at::Tensor gradients = at::zeros({60, 6}, at::kDouble);
  gradients.select(1, 2).slice(0, 0, 30).fill_(1);
  gradients.select(1, 2).slice(0, 30, 40).fill_(-3);
  const ConceptActivation result = MeasureConceptActivation(positive, negative, gradients);
  EXPECT_DOUBLE_EQ(result.sign_count, 0.75);
  EXPECT_NEAR(result.magnitude, 0.5, 1e-12);
  try {
    MeasureConceptActivation(positive, negative, at::zeros({60, 6}, at::kDouble));
    FAIL() << "was not refused";
  } catch (const c10::ValueError& error) {
    EXPECT_STREQ(error.what_without_backtrace(),
                 "the metric does not depend on the activation at the chosen positions");
  }
}

TEST(ConceptActivation, StopsWhenCancelled) {
  const at::Tensor positive = Cloud(30, 1, 1, 3), negative = Cloud(30, 1, -1, 4), gradients = Cloud(10, 1, 0, 5);
  ConceptActivationOptions options;
  int asked = 0;
  options.cancelled = [&asked] { return ++asked > 3; };
  EXPECT_THROW(MeasureConceptActivation(positive, negative, gradients, options), Cancelled);
  EXPECT_EQ(asked, 4);
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
