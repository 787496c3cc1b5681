#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "server/model/weights.h"
#include "tests/model/small_model.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

TEST(DrawProjection, RowsOfABlockAreOrthogonal) {
  const at::Tensor p = DrawProjection(70, 16, 5).to(at::kDouble);
  ASSERT_EQ(p.sizes(), at::IntArrayRef({70, 16}));
  const at::Tensor unit = p / p.norm(2, {1}, true);
  for (int64_t row = 0; row < 70; row += 16) {
    const at::Tensor block = unit.slice(0, row, std::min<int64_t>(row + 16, 70));
    ExpectClose(at::matmul(block, block.t()), at::eye(block.size(0), at::kDouble), 1e-6, 0, "life2vec.projection");
  }
}

TEST(DrawProjection, RowNormsAreThoseOfGaussianVectors) {
  const at::Tensor squared = DrawProjection(4000, 16, 6).to(at::kDouble).square().sum(1);
  EXPECT_NEAR(squared.mean().item<double>(), 16, 0.5);  // chi squared: mean 16
  EXPECT_NEAR(squared.var().item<double>(), 32, 4);     // and variance 32
}

TEST(DrawProjection, DependsOnTheSeedAlone) {
  EXPECT_TRUE(at::equal(DrawProjection(9, 4, 1), DrawProjection(9, 4, 1)));
  EXPECT_FALSE(at::equal(DrawProjection(9, 4, 1), DrawProjection(9, 4, 2)));
}

TEST(InitializeWeights, ClosedGatesArePublishedAndMakeTheNetworkTheIdentity) {
  Weights w = InitializeWeights(SmallHyperparameters(), 3, 0);
  EXPECT_LE(w.embedding.token.abs().max().item<double>(), 0.01);
  EXPECT_EQ(w.embedding.gate_age.item<double>(), 0);
  EXPECT_EQ(w.blocks[2].gate_attention.item<double>(), 0);
  EXPECT_EQ(w.blocks[2].gate_mlp.item<double>(), 0);
  EXPECT_NEAR(w.mlm.g.item<double>(), std::sqrt(20.0), 1e-6);
}

TEST(InitializeWeights, LayersDifferAndTheSeedDecides) {
  const Weights a = InitializeWeights(SmallHyperparameters(), 3, 1),
                b = InitializeWeights(SmallHyperparameters(), 3, 1);
  EXPECT_TRUE(at::equal(a.blocks[1].w_q, b.blocks[1].w_q));
  EXPECT_FALSE(at::equal(a.blocks[0].w_q, a.blocks[1].w_q));
  EXPECT_FALSE(at::equal(a.blocks[0].projection, a.blocks[1].projection));
  EXPECT_FALSE(at::equal(a.blocks[0].w_q, InitializeWeights(SmallHyperparameters(), 4, 1).blocks[0].w_q));
  EXPECT_TRUE(a.mlm.decoder.is_same(a.embedding.token));
}

}  // namespace
}  // namespace lifescope
