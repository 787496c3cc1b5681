#include "server/dictionary/sparse_coding.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "server/dictionary/files/saelens.h"
#include "server/dictionary/sparse_codes.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/dictionary/saelens_folder.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

TEST(SparseCodingDictionary, EncodesRowsLessTheOffsetAndDecodesThemBack) {
  RandomTensors random(1);
  const at::Tensor directions = random.Directions(20, 6), offset = random.Normal({6}),
                   x = random.Normal({9, 6}) + offset;
  const SparseCodingDictionary dictionary(directions, offset, 0.1, 100);
  EXPECT_EQ(dictionary.activation_dim(), 6);
  EXPECT_EQ(dictionary.feature_count(), 20);
  const at::Tensor codes = dictionary.Encode(x);
  EXPECT_TRUE(at::equal(codes, ShrinkageCodes(x - offset, directions, LargestEigenvalue(directions), {0.1, 100})));
  EXPECT_TRUE(at::allclose(dictionary.Decode(codes, x), codes.mm(directions) + offset, 0, 1e-12));
  EXPECT_THROW(dictionary.Encode(at::zeros({2, 7}, at::kDouble)), c10::ValueError);
}

TEST(SparseCodingDictionary, SparseActivationsAreTheDenseOnes) {
  RandomTensors random(2);
  const SparseCodingDictionary dictionary(random.Directions(20, 6), at::zeros({6}, at::kDouble), 0.3, 100);
  const at::Tensor x = random.Normal({1100, 6}), codes = dictionary.Encode(x);
  const SparseActivations active = EncodeSparse(dictionary, x);
  EXPECT_EQ(active.rows(), 1100);
  // A row's codes depend on the other rows by rounding alone, which may make a value of 1e-17 of a 0.
  EXPECT_NEAR(active.values.sum().item<double>(), codes.sum().item<double>(), 1e-9);
}

TEST(SparseCodingDictionary, RefusesDirectionsOfZeros) {
  EXPECT_THROW(SparseCodingDictionary(at::zeros({4, 3}), at::zeros({3}), 0.1, 10), c10::ValueError);
}

TEST(GradientPursuitDictionary, EncodesRowsLessTheOffset) {
  RandomTensors random(3);
  const at::Tensor directions = random.Directions(20, 6), offset = random.Normal({6}),
                   x = random.Normal({9, 6}) + offset;
  const GradientPursuitDictionary dictionary(directions, offset, 3);
  EXPECT_TRUE(at::equal(dictionary.Encode(x), GradientPursuitCodes(x - offset, directions, 3)));
}

SaeLensFolder SparseCodingFolder() {
  SaeLensFolder folder("sparse_coding");
  folder.tensors.erase("W_enc");
  folder.tensors.erase("b_enc");
  folder.config["l1_coefficient"] = 0;
  folder.config["iterations"] = 50;
  return folder;
}

TEST(SparseCodingFile, IsRead) {
  const LoadedDictionary loaded = LoadSaeLens(SparseCodingFolder().Write(), at::kFloat, at::kCPU);
  EXPECT_EQ(loaded.dictionary->architecture(), "sparse_coding");
  EXPECT_EQ(loaded.dictionary->activation_dim(), SaeLensFolder::kWidth);
}

TEST(SparseCodingFile, IsRefusedWhenSomethingIsNotAsItShouldBe) {
  struct Fault {
    std::function<void(SaeLensFolder&)> make;
    std::string message;
  };
  const std::vector<Fault> faults{
      {[](SaeLensFolder& f) { f.config.erase("l1_coefficient"); }, "l1_coefficient"},
      {[](SaeLensFolder& f) { f.config["l1_coefficient"] = -1; },
       "'l1_coefficient' is -1, expected a number, 0 or more"},
      {[](SaeLensFolder& f) { f.config["iterations"] = 0; }, "'iterations' is 0"},
      {[](SaeLensFolder& f) { f.config["iterations"] = 1'000'000'000; }, "expected 1 to 100000"},
      {[](SaeLensFolder& f) { f.config["k"] = 2; }, "'k'"},
      {[](SaeLensFolder& f) { f.config["d_sae"] = 7; }, "'W_dec' has shape [8, 4], expected [7, 4]"},
      {[](SaeLensFolder& f) { f.config["apply_b_dec_to_input"] = false; }, "expected apply_b_dec_to_input"},
      {[](SaeLensFolder& f) { f.config["normalize_activations"] = "layer_norm"; }, "no normalisation"},
      {[](SaeLensFolder& f) { f.tensors.erase("b_dec"); }, "'b_dec' is missing"},
      {[](SaeLensFolder& f) {
         f.tensors["W_enc"] = at::zeros({4, 8});
       },
       "unknown tensor 'W_enc'"},
      {[](SaeLensFolder& f) {
         f.config.erase("l1_coefficient");
         f.config.erase("iterations");
         f.config["architecture"] = "gradient_pursuit";
         f.config["k"] = 9;
       },
       "'k' is 9, expected at most d_sae, 8"},
  };
  for (const Fault& fault : faults) {
    SaeLensFolder folder = SparseCodingFolder();
    fault.make(folder);
    try {
      LoadSaeLens(folder.Write(), at::kFloat, at::kCPU);
      ADD_FAILURE() << "was read: " << fault.message;
    } catch (const c10::ValueError& error) {
      EXPECT_THAT(error.what(), HasSubstr(fault.message));
    }
  }
}

}  // namespace
}  // namespace lifescope
