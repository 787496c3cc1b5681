#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/dictionary/weights.h"

namespace lifescope {
namespace {

// Two runs of three features that read one number each.
DictionaryWeights TwoGroups() {
  DictionaryWeights weights;
  weights.architecture = "groupmax";
  weights.tensors = {{"W_enc", at::eye(6, at::kDouble)},
                     {"b_enc", at::zeros({6}, at::kDouble)},
                     {"W_dec", at::eye(6, at::kDouble)},
                     {"b_dec", at::zeros({6}, at::kDouble)}};
  weights.k = 2;
  return weights;
}

TEST(GroupMaxSae, KeepsTheLargestOfEachRunIfItIsAboveZero) {
  const auto sae = MakeDictionary(TwoGroups(), at::kDouble, at::kCPU);
  const at::Tensor x = at::tensor({1., 3., 2., -1., -2., -3., 5., 5., 4., 0., 0., 7.}, at::kDouble).view({2, 6});
  const at::Tensor expected = at::tensor({0., 3., 0., 0., 0., 0., 5., 0., 0., 0., 0., 7.}, at::kDouble).view({2, 6});
  EXPECT_TRUE(at::equal(sae->Encode(x), expected));
}

TEST(GroupMaxSae, GroupsMustBeEqual) {
  DictionaryWeights weights = TwoGroups();
  weights.k = 4;
  try {
    MakeDictionary(weights, at::kDouble, at::kCPU);
    ADD_FAILURE() << "4 groups of 6 features were taken";
  } catch (const c10::ValueError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("k is 4, expected a divisor of 6"));
  }
}

}  // namespace
}  // namespace lifescope
