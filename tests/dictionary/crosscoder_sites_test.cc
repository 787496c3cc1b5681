#include "server/dictionary/crosscoder_sites.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <cmath>

namespace lifescope {
namespace {

// Features: shared in the same direction, of site 0 alone, of site 1 alone, shared at a right angle with norms 1 and 3,
// nowhere.
at::Tensor Directions() {
  return at::tensor({2.0, 0.0, 2.0, 0.0,  //
                     1.0, 1.0, 0.0, 0.0,  //
                     0.0, 0.0, 1.0, 1.0,  //
                     1.0, 0.0, 0.0, 3.0,  //
                     0.0, 0.0, 0.0, 0.0},
                    at::kDouble)
      .view({5, 4});
}

TEST(CrosscoderSites, ComparesNormsAndDirections) {
  const SiteComparison c = CompareSites(Directions().to(at::kFloat), {2, 2}, 0, 1);
  EXPECT_EQ(c.relative_norm.scalar_type(), at::kDouble);
  const double relative[] = {0.5, 0, 1, 0.75};
  for (int64_t i = 0; i < 4; ++i) EXPECT_DOUBLE_EQ(c.relative_norm[i].item<double>(), relative[i]);
  EXPECT_TRUE(std::isnan(c.relative_norm[4].item<double>()));
  EXPECT_DOUBLE_EQ(c.cosine[0].item<double>(), 1);
  EXPECT_DOUBLE_EQ(c.cosine[3].item<double>(), 0);
  for (const int64_t undefined : {1, 2, 4}) EXPECT_TRUE(std::isnan(c.cosine[undefined].item<double>()));
}

TEST(CrosscoderSites, TheOtherWayRoundIsTheComplement) {
  const SiteComparison there = CompareSites(Directions(), {2, 2}, 0, 1),
                       back = CompareSites(Directions(), {2, 2}, 1, 0);
  const at::Tensor sum = (there.relative_norm + back.relative_norm).narrow(0, 0, 4);
  EXPECT_TRUE(at::allclose(sum, at::ones_like(sum)));
}

TEST(CrosscoderSites, SitesOfDifferentWidthHaveNormsButNoCosine) {
  const at::Tensor norms = SiteNorms(Directions(), {1, 3});
  EXPECT_EQ(norms.sizes(), at::IntArrayRef({5, 2}));
  EXPECT_DOUBLE_EQ(norms[3][1].item<double>(), 3);
  EXPECT_FALSE(CompareSites(Directions(), {1, 3}, 0, 1).cosine.defined());
}

TEST(CrosscoderSites, RefusesWidthsThatDoNotAddUpAndUnknownSites) {
  EXPECT_THROW(SiteNorms(Directions(), {2, 3}), c10::ValueError);
  EXPECT_THROW(CompareSites(Directions(), {2, 2}, 0, 2), c10::IndexError);
  EXPECT_THROW(CompareSites(Directions(), {2, 2}, -1, 0), c10::IndexError);
}

}  // namespace
}  // namespace lifescope
