#include "server/dictionary/training/decoder_constraint.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/dictionary/random_tensors.h"

namespace lifescope {
namespace {

class DecoderConstraintTest : public testing::TestWithParam<at::ScalarType> {
 protected:
  double tolerance() const { return GetParam() == at::kFloat ? 1e-5 : 1e-13; }
  RandomTensors random_{21};
};

TEST_P(DecoderConstraintTest, RowsAreDividedByTheirNorm) {
  const at::Tensor start = random_.Normal({301, 67}, GetParam());
  for (const double epsilon : {0.0, 0.5}) {
    at::Tensor rows = start.clone(), columns = start.t().contiguous();
    at::Tensor transposed = columns.t();
    NormaliseRows(epsilon, rows);
    NormaliseRows(epsilon, transposed);
    const at::Tensor expected = start / (start.norm(2, 1, true) + epsilon);
    EXPECT_TRUE(at::allclose(rows, expected, tolerance(), tolerance()));
    EXPECT_TRUE(at::allclose(columns.t(), expected, tolerance(), tolerance()));
  }
}

TEST_P(DecoderConstraintTest, InPlaceAsOrthogonalTo) {
  const at::Tensor directions = random_.Normal({301, 67}, GetParam()), start = random_.Normal({301, 67}, GetParam());
  for (const double epsilon : {0.0, 0.5}) {
    at::Tensor gradient = start.clone(), transposed = start.t().contiguous().t();
    const at::Tensor expected = OrthogonalTo(directions, start, epsilon);
    RemoveParallel(directions, epsilon, gradient);
    RemoveParallel(directions, epsilon, transposed);
    EXPECT_TRUE(at::allclose(gradient, expected, tolerance(), tolerance()));
    EXPECT_TRUE(at::allclose(transposed, expected, tolerance(), tolerance()));
    if (epsilon > 0) continue;
    EXPECT_LT((gradient * directions).sum(1).abs().max().item<double>(), 50 * tolerance());
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, DecoderConstraintTest, testing::Values(at::kFloat, at::kDouble));

}  // namespace
}  // namespace lifescope
