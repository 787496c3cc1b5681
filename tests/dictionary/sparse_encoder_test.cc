// Sparse encoding against the dense matrix of pre-activations in plain ATen. Rows, encoder and bias are small whole
// numbers or their quarters, so that every sum is exact whatever its order (bfloat16 holds them too), and ties are
// many.
#include "server/dictionary/sparse_encoder.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <tuple>

#include "server/dictionary/sparse_rows.h"
#include "tests/dictionary/random_tensors.h"

namespace lifescope {
namespace {

struct Sizes {
  int64_t rows, width, features;
};
// One tile of rows or several, whole or not, of features too.
const Sizes kSizes[] = {{1, 1, 1}, {3, 5, 7}, {17, 8, 561}, {130, 13, 1121}, {600, 3, 70}, {0, 4, 9}};

const Matmul kMatmuls[] = {Matmul::kFull, Matmul::kBfloat16};

class SparseEncoderTest : public testing::TestWithParam<std::tuple<Sizes, at::ScalarType>> {
 protected:
  void SetUp() override {
    const auto [sizes, dtype] = GetParam();
    RandomTensors random(3);
    const auto quarters = [&, dtype = dtype](at::IntArrayRef shape) {
      return (random.Normal(shape) * 4).round().div(4).to(dtype);
    };
    rows_ = quarters({sizes.rows, sizes.width});
    encoder_ = quarters({sizes.features, sizes.width});
    bias_ = quarters({sizes.features});
    if (sizes.rows > 2) rows_[1].zero_();
    dense_ = at::addmm(bias_, rows_, encoder_.t());
  }

  static void ExpectEqual(const SparseActivations& actual, const SparseActivations& expected) {
    EXPECT_EQ(actual.feature_count, expected.feature_count);
    EXPECT_TRUE(at::equal(actual.row_offsets, expected.row_offsets));
    EXPECT_TRUE(at::equal(actual.features, expected.features));
    EXPECT_TRUE(at::equal(actual.values, expected.values));
  }
  // The `count` largest of each row of `values`, of equal ones the first, as a mask.
  static at::Tensor Largest(const at::Tensor& values, int64_t count) {
    const at::Tensor order = std::get<1>(values.sort(/*stable=*/true, /*dim=*/1, /*descending=*/true));
    return at::zeros(values.sizes(), at::kBool).scatter_(1, order.narrow(1, 0, count), true);
  }

  at::Tensor rows_, encoder_, bias_, dense_;
};

TEST_P(SparseEncoderTest, TopKKeepsTheLargestOfEachRow) {
  const int64_t features = encoder_.size(0);
  for (const int64_t k : {int64_t{0}, int64_t{1}, std::min<int64_t>(5, features), features}) {
    SCOPED_TRACE("k " + std::to_string(k));
    const SparseActivations expected = KeepWhere(dense_, Largest(dense_, k).logical_and(dense_ > 0));
    for (const Matmul matmul : kMatmuls) ExpectEqual(EncodeTopK(rows_, encoder_, bias_, k, matmul), expected);
  }
}

TEST_P(SparseEncoderTest, AboveKeepsWhatIsAboveItsBound) {
  // Equal to a pre-activation of the first row where there is one: not above.
  const at::Tensor bound = dense_.size(0) > 0 ? dense_[0] : bias_;
  for (const Matmul matmul : kMatmuls) {
    ExpectEqual(EncodeAbove(rows_, encoder_, bias_, bound, matmul), KeepWhere(dense_, dense_ > bound));
    ExpectEqual(EncodeAbove(rows_, encoder_, bias_, at::zeros_like(bias_), matmul), KeepWhere(dense_, dense_ > 0));
  }
}

TEST_P(SparseEncoderTest, BatchTopKKeepsTheLargestOfAll) {
  for (const int64_t count : {int64_t{0}, int64_t{1}, 2 * dense_.size(0), dense_.numel()}) {
    if (count > dense_.numel()) continue;
    SCOPED_TRACE("count " + std::to_string(count));
    const at::Tensor kept = Largest(dense_.reshape({1, -1}), count).reshape(dense_.sizes());
    const SparseActivations expected = KeepWhere(dense_, kept.logical_and(dense_ > 0));
    for (const Matmul matmul : kMatmuls) ExpectEqual(EncodeBatchTopK(rows_, encoder_, bias_, count, matmul), expected);
  }
}

TEST_P(SparseEncoderTest, ThreadsChangeNothing) {
  const int threads = at::get_num_threads();
  const at::Tensor rows = rows_ / 3, encoder = encoder_ / 7;
  at::set_num_threads(1);
  for (const Matmul matmul : kMatmuls) {
    const at::Tensor left = Operand(matmul, rows), right = Operand(matmul, encoder);
    at::set_num_threads(1);
    const SparseActivations one = EncodeTopK(left, right, bias_, encoder.size(0) / 2, matmul);
    at::set_num_threads(2);
    const SparseActivations two = EncodeTopK(left, right, bias_, encoder.size(0) / 2, matmul);
    at::set_num_threads(threads);
    ExpectEqual(one, two);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, SparseEncoderTest,
                         testing::Combine(testing::ValuesIn(kSizes), testing::Values(at::kFloat, at::kDouble)));

// A sample of the rows suggests a bound; where the other rows stay below it, what is above is too little.
TEST(SparseEncoder, BatchTopKDoesNotRelyOnItsSample) {
  constexpr int64_t kRows = 640, kFeatures = 100;
  at::Tensor rows = at::full({kRows, 1}, 1.0);
  for (int64_t i = 0; i < 64; ++i) rows[i * (kRows / 64)] = 1000.0;
  const at::Tensor encoder = at::arange(1, kFeatures + 1, at::kFloat).unsqueeze(1), bias = at::zeros({kFeatures});
  const SparseActivations active = EncodeBatchTopK(rows, encoder, bias, kRows * kFeatures / 2);
  EXPECT_EQ(active.values.numel(), kRows * kFeatures / 2);
  // 6400 from the 64 rows, and of the other 576 rows 44.4 each: from 100 down to 57, and some 56.
  EXPECT_EQ(active.values.min().item<float>(), 56);
}

TEST(SparseEncoder, NotANumberIsNotKept) {
  at::Tensor rows = at::ones({2, 3});
  rows[0][1] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor encoder = at::ones({4, 3}), bias = at::zeros({4});
  const SparseActivations active = EncodeTopK(rows, encoder, bias, 2);
  EXPECT_TRUE(at::equal(active.row_offsets, at::tensor({0, 0, 2}, at::kLong)));
}

}  // namespace
}  // namespace lifescope
