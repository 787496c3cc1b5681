#include "server/dictionary/geometric_median.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace lifescope {
namespace {

TEST(GeometricMedian, IgnoresAFewFarPoints) {
  at::Tensor points = at::zeros({11, 2}, at::kDouble);
  points.narrow(0, 0, 2).fill_(1e3);
  points.select(1, 0).narrow(0, 2, 9).copy_(at::linspace(-1e-3, 1e-3, 9, at::kDouble));
  EXPECT_LT(GeometricMedian(points).norm().item<double>(), 1e-2);
}

TEST(GeometricMedian, OfEqualPointsIsThatPoint) {
  EXPECT_TRUE(at::equal(GeometricMedian(at::full({5, 3}, 2.0)), at::full({3}, 2.0)));
}

}  // namespace
}  // namespace lifescope
