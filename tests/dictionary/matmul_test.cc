#include "server/dictionary/matmul.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "tests/dictionary/random_tensors.h"

namespace lifescope {
namespace {

TEST(Operand, IsRoundedToTheNearestEven) {
  // 8 bits of a number are kept: 1 + 2^-8 lies between 1 and 1 + 2^-7.
  const double last = 1.0 / 128;
  const at::Tensor exact = at::tensor({1 + last / 2, 1 + last + last / 2, 1 + 0.51 * last, -3.0, 0.0}, at::kDouble);
  const at::Tensor expected = at::tensor({1.0, 1 + 2 * last, 1 + last, -3.0, 0.0}, at::kDouble);
  EXPECT_TRUE(at::equal(Operand(Matmul::kBfloat16, exact), expected));
  EXPECT_TRUE(Operand(Matmul::kFull, exact).is_same(exact));
}

TEST(Operand, PassesGradientsAndIsTheSameNumberWithThem) {
  const at::Tensor exact = RandomTensors(3).Normal({2000}, at::kFloat) * 1e3;
  const at::Tensor leaf = exact.clone().requires_grad_(true);
  const at::Tensor operand = Operand(Matmul::kBfloat16, leaf);
  EXPECT_TRUE(at::equal(operand.detach(), Operand(Matmul::kBfloat16, exact)));
  EXPECT_FALSE(at::equal(operand.detach(), exact));
  (operand * 3).sum().backward();
  EXPECT_TRUE(at::equal(leaf.grad(), at::full_like(exact, 3)));
}

TEST(ParseMatmul, KnowsTwoNames) {
  EXPECT_EQ(ParseMatmul("float32"), Matmul::kFull);
  EXPECT_EQ(ParseMatmul("bfloat16"), Matmul::kBfloat16);
  EXPECT_THROW(ParseMatmul("half"), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
