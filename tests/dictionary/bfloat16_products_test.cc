// Both forms of the product, against plain ATen in float64 on the same rounded numbers.
#include "server/vector/bfloat16_products.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/dictionary/random_tensors.h"

namespace lifescope {
namespace {

// [rows, 2 pairs] -> INT32 [groups, pairs, 16], missing rows all NaN: nothing of them may be seen.
at::Tensor Grouped(const at::Tensor& matrix) {
  const int64_t missing = (kBfloat16Group - matrix.size(0) % kBfloat16Group) % kBfloat16Group;
  const at::Tensor nan = at::full({missing, matrix.size(1)}, std::numeric_limits<float>::quiet_NaN(), at::kBFloat16);
  const at::Tensor pairs = at::cat({matrix, nan}).view(at::kInt);
  return pairs.view({-1, kBfloat16Group, pairs.size(1)}).transpose(1, 2).contiguous();
}

TEST(Bfloat16Products, AreThoseOfTheRoundedNumbers) {
  RandomTensors random(11);
  for (const int64_t rows : {1, 5, 6, 7, 13}) {
    for (const int64_t count : {1, 15, 16, 17, 33, 48, 63, 64, 65, 129, 150}) {
      for (const int64_t pairs : {1, 2, 140}) {
        SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(count) + ", pairs " + std::to_string(pairs));
        const at::Tensor left = random.Normal({rows, 2 * pairs}).to(at::kBFloat16);
        const at::Tensor right = random.Normal({count, 2 * pairs}).to(at::kBFloat16);
        const at::Tensor expected = left.to(at::kDouble).mm(right.to(at::kDouble).t());
        const at::Tensor left_pairs = left.view(at::kInt), right_pairs = Grouped(right);
        for (const auto products : {&Bfloat16Products, &PortableBfloat16Products}) {
          // What follows the output is another's.
          at::Tensor out = at::full({rows * count + 16}, -7.0f);
          products(left_pairs.data_ptr<int32_t>(), rows, right_pairs.data_ptr<int32_t>(), count, pairs,
                   out.data_ptr<float>());
          EXPECT_TRUE(
              at::allclose(out.narrow(0, 0, rows * count).view({rows, count}).to(at::kDouble), expected, 1e-5, 1e-5));
          EXPECT_TRUE((out.narrow(0, rows * count, 16) == -7).all().item<bool>());
        }
      }
    }
  }
}

}  // namespace
}  // namespace lifescope
